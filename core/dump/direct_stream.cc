// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/file.h"
#include "core/base/units.h"
#include "core/dump/data_stream.h"
#include "core/dump/direct_buffers.h"

namespace hadump {
namespace {

constexpr std::uint64_t kAlignment = DirectBuffers::kAlignment;
constexpr std::size_t kBufferBytes = DirectBuffers::kBytes;
constexpr std::uint64_t kPreallocateBytes = 64U << 20;
constexpr std::uint64_t kNone = ~std::uint64_t{0};
/// A hole up to this size is written as zeros: two writes for the device take longer than one.
constexpr std::uint64_t kMaxFilledHole = 64U << 10;

static_assert(kMaxRoomBytes <= kBufferBytes);  // A room has two parts at most.

/// Bytes are gathered in aligned buffers (DirectBuffers). The last block of a flush is padded with
/// zeros and written again when it fills. Where direct writes turn out not to be possible after
/// all, it goes on by ordinary ones.
class DirectStream : public DataStream {
 public:
  DirectStream(int plain_fd, UniqueFd direct_fd, const std::string& name)
      : plain_fd_(plain_fd), name_(name), buffers_(plain_fd, std::move(direct_fd), name) {}
  DirectStream(const DirectStream&) = delete;
  DirectStream& operator=(const DirectStream&) = delete;
  ~DirectStream() override {
    static_cast<void>(buffers_.wait_until_written());
    if (preallocated_ > 0) cut_to(data_end());
  }

  bool open() {
    struct stat info {};
    if (::fstat(plain_fd_, &info) != 0) return false;
    size_at_first_ = static_cast<std::uint64_t>(info.st_size);
    return buffers_.open();
  }

  Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (bytes.empty() && !plain_ && offset < end()) return go_back(offset);
    while (!bytes.empty()) {
      const std::size_t size = std::min(bytes.size(), kMaxRoomBytes);
      auto room = begin(offset, size);
      if (!room) return fail(std::move(room));
      if (room->empty()) break;
      for (std::size_t done = 0; const DataRoom::Part& part : room->parts) {
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(done), part.bytes.size(),
                    part.bytes.begin());
        done += part.bytes.size();
      }
      end(*room);
      offset += size;
      bytes = bytes.subspan(size);
    }
    return plain_ ? plain_->write(offset, bytes) : Result<>();
  }

  Result<DataRoom> begin(std::uint64_t offset, std::size_t bytes) override {
    tables_end_ = std::min(tables_end_, round_down(offset, kAlignment));
    if (auto ready = leave_if_refused(); !ready) return fail(std::move(ready));
    if (plain_) return DataRoom{};
    if (offset != end()) {
      auto moved = offset < end() ? go_back(offset) : go_forward(offset);
      if (!moved) return fail(std::move(moved));
    }
    if (auto done = preallocate(offset + bytes); !done) return fail(std::move(done));
    DataRoom room;
    for (DataRoom::Part& part : room.parts) {
      const std::size_t size = std::min(bytes, kBufferBytes - used_);
      part = {{buffers_.bytes() + used_, size}, buffers_.current()};
      buffers_.expect(size);
      used_ += size;
      bytes -= size;
      if (used_ < kBufferBytes) break;
      if (auto turned = turn(); !turned) {
        end(room);  // With whatever is there: it is void.
        return fail(std::move(turned));
      }
      if (bytes == 0) break;
    }
    return room;
  }

  void end(const DataRoom& room) override {
    for (const DataRoom::Part& part : room.parts)
      if (!part.bytes.empty()) buffers_.filled(part.buffer, part.bytes.size());
  }

  Result<> flush() override {
    if (auto ready = leave_if_refused(); !ready) return ready;
    return plain_ ? plain_->flush() : flush_direct();
  }

  bool give_back_space() override {
    const bool had_some = preallocates_ && preallocated_ > buffers_.submitted_end();
    preallocates_ = false;
    if (had_some) cut_to(data_end());
    return had_some;
  }

 private:
  std::uint64_t end() const { return base_ + used_; }
  /// The file has nothing of value from there on. Before anything was submitted that is where its
  /// tables end, at the latest.
  std::uint64_t data_end() const {
    const std::uint64_t end = std::max(size_at_first_, buffers_.submitted_end());
    return tables_end_ == kNone ? end : std::max(end, tables_end_);
  }

  /// A failure costs only space, and zeros at the end of a file that says itself where its data
  /// ends.
  void cut_to(std::uint64_t end) const {
    struct stat info {};
    if (::fstat(plain_fd_, &info) == 0 && info.st_size > static_cast<off_t>(end))
      static_cast<void>(::ftruncate(plain_fd_, static_cast<off_t>(end)) == 0);
  }

  Result<> turn() {
    auto turned = buffers_.turn(used_);
    forget(end());
    return turned;
  }

  Result<> wait_for_all() {
    buffers_.wait_until_filled();
    return buffers_.wait_until_written() ? buffers_.take_error()
                                         : fail_os(EIO, "waiting for " + name_);
  }

  Result<> flush_direct() {
    buffers_.wait_until_filled();
    if (used_ > 0) {
      const std::size_t whole = round_up(used_, kAlignment);
      std::memset(buffers_.bytes() + used_, 0, whole - used_);
      buffers_.write_current(whole);
    }
    if (auto done = wait_for_all(); !done) return done;
    buffers_.set_flushed_end(end());
    return {};
  }

  /// For good: where one direct write is refused, all are.
  Result<> leave_if_refused() {
    if (!buffers_.is_refused() || plain_) return {};
    if (auto done = wait_for_all(); !done) return done;
    preallocates_ = false;
    cut_to(data_end());
    preallocated_ = 0;
    plain_ = make_buffered_stream(plain_fd_, name_, true);
    return plain_->write(base_, {buffers_.bytes(), used_});
  }

  Result<> go_forward(std::uint64_t offset) {
    const std::uint64_t hole = offset - end();
    if (used_ > 0 && hole <= kMaxFilledHole && hole < kBufferBytes - used_) {
      std::memset(buffers_.bytes() + used_, 0, hole);
      used_ += hole;
      buffers_.expect(hole);
      buffers_.filled(buffers_.current(), hole);
      return {};
    }
    if (used_ % kAlignment == 0 && offset % kAlignment == 0) {
      auto turned = used_ > 0 ? turn() : Result<>();
      forget(offset);
      return turned;
    }
    auto flushed = flush_direct();
    forget(offset);
    return flushed ? read_back(offset) : flushed;
  }

  /// After a failure. What follows `offset` is void, whether it is on its way or failed: it is
  /// neither written any more nor told of.
  Result<> go_back(std::uint64_t offset) {
    buffers_.wait_until_filled();
    if (!buffers_.wait_until_written()) return fail_os(EIO, "waiting for " + name_);
    if (buffers_.error_begin() < offset) return buffers_.take_error();
    static_cast<void>(buffers_.take_error());  // See above.
    const std::uint64_t keep = round_up(offset, kAlignment);
    buffers_.set_flushed_end(std::min(buffers_.flushed_end(), offset));
    buffers_.limit_submitted_end(keep);
    size_at_first_ = std::min(size_at_first_, keep);
    preallocates_ = false;  // It was after an error: whatever there is left is needed.
    cut_to(keep);
    if (offset >= base_) {
      used_ = static_cast<std::size_t>(offset - base_);
      buffers_.set_place(base_, used_);
      return {};
    }
    forget(offset);
    return read_back(offset);
  }

  /// The rest of the block that `offset` is in.
  Result<> read_back(std::uint64_t offset) {
    const std::uint64_t block = round_down(offset, kAlignment);
    if (block == offset) return {};
    used_ = static_cast<std::size_t>(offset - block);
    base_ = block;
    buffers_.set_place(base_, used_);
    std::memset(buffers_.bytes(), 0, used_);
    const ssize_t got = ::pread(plain_fd_, buffers_.bytes(), used_, static_cast<off_t>(block));
    return got < 0 ? fail_os(errno, "reading back " + name_) : Result<>();
  }

  void forget(std::uint64_t offset) {
    base_ = offset;
    used_ = 0;
    buffers_.set_place(base_, used_);
  }

  /// Keeps the file in few pieces, and its end ahead of the writes: a direct write that extends a
  /// file is waited for by the file system, with the file locked (ext4_dio_write_iter(),
  /// xfs_file_dio_write_aligned()), and the next one waits for it. Failing to is not an error:
  /// the write will say.
  Result<> preallocate(std::uint64_t end) {
    if (end <= preallocated_ || !preallocates_) return {};
    const std::uint64_t from = std::max(preallocated_, round_down(base_, kAlignment));
    preallocates_ = ::fallocate(plain_fd_, 0, static_cast<off_t>(from),
                                static_cast<off_t>(kPreallocateBytes)) == 0;
    preallocated_ = from + kPreallocateBytes;
    if (preallocates_) return {};
    // A part of it may have been found (ext4): tables need it. What is being written is not cut.
    auto done = wait_for_all();
    cut_to(data_end());
    return done;
  }

  int plain_fd_;
  std::string name_;
  DirectBuffers buffers_;
  std::uint64_t base_ = 0;  ///< Where the current buffer's first byte goes.
  std::size_t used_ = 0;
  std::uint64_t preallocated_ = 0;
  std::uint64_t size_at_first_ = 0;   ///< Of a file that is gone on with.
  std::uint64_t tables_end_ = kNone;  ///< The lowest place that data was given for.
  bool preallocates_ = true;
  std::unique_ptr<DataStream> plain_;  ///< Instead of all this, once direct writes were refused.
};

}  // namespace

std::unique_ptr<DataStream> open_direct_stream(int fd, const std::string& name) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd direct(::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
  if (!direct) return nullptr;
  auto stream = std::make_unique<DirectStream>(fd, std::move(direct), name);
  if (!stream->open()) return nullptr;
  return stream;
}

}  // namespace hadump
