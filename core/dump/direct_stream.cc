// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "core/base/file.h"
#include "core/base/unique_handle.h"
#include "core/base/units.h"
#include "core/dump/data_stream.h"

namespace hadump {
namespace {

/// 2 MiB for each file: deep enough for a fast disk, and 16 files stay within what is promised.
constexpr std::size_t kBufferBytes = 512 << 10;
constexpr unsigned kBuffers = 4;
/// Fits every device that Linux runs on; the format keeps tables out of the data's blocks.
constexpr std::uint64_t kAlignment = 4096;
constexpr std::uint64_t kNoError = ~std::uint64_t{0};
constexpr std::uint64_t kPreallocateBytes = 64U << 20;

/// Bytes are gathered in aligned buffers; full ones are written behind the caller's back, a few at
/// a time. The last block of a flush is padded with zeros and written again when it fills.
/// Where direct writes turn out not to be possible after all, it goes on by ordinary ones.
class DirectStream : public DataStream {
 public:
  DirectStream(int plain_fd, UniqueFd direct_fd, std::string name)
      : plain_fd_(plain_fd), fd_(std::move(direct_fd)), name_(std::move(name)) {}
  DirectStream(const DirectStream&) = delete;
  DirectStream& operator=(const DirectStream&) = delete;
  ~DirectStream() override {
    if (!ring_ready_) return;
    while (in_flight_ > 0 && reap_one()) {
    }
    ::io_uring_queue_exit(&ring_);
    if (preallocated_ > 0) cut_to(data_end());
  }

  bool open() {
    struct stat info {};
    if (::fstat(plain_fd_, &info) != 0) return false;
    size_at_first_ = static_cast<std::uint64_t>(info.st_size);
    for (Buffer& buffer : buffers_) {
      buffer.bytes.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, kBufferBytes)));
      if (!buffer.bytes) return false;
    }
    ring_ready_ = ::io_uring_queue_init(kBuffers, &ring_, 0) == 0;
    return ring_ready_;
  }

  Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (auto ready = leave_if_refused(); !ready) return ready;
    if (plain_) return plain_->write(offset, bytes);
    if (offset != end()) {
      auto moved = offset < end() ? go_back(offset) : go_forward(offset);
      if (!moved) return moved;
    }
    while (!bytes.empty()) {
      const std::size_t size = std::min(bytes.size(), kBufferBytes - used_);
      std::memcpy(current().bytes.get() + used_, bytes.data(), size);
      used_ += size;
      bytes = bytes.subspan(size);
      if (used_ < kBufferBytes) break;
      if (auto sent = submit(kBufferBytes); !sent) return sent;
      base_ += kBufferBytes;
      used_ = 0;
      if (auto turned = take_next_buffer(); !turned) return turned;
    }
    return {};
  }

  Result<> flush() override {
    if (auto ready = leave_if_refused(); !ready) return ready;
    if (plain_) return plain_->flush();
    if (used_ > 0) {
      const std::size_t whole = round_up(used_, kAlignment);
      std::memset(current().bytes.get() + used_, 0, whole - used_);
      if (auto sent = submit(whole); !sent) return sent;
    }
    if (auto done = wait_for_all(); !done) return done;
    flushed_end_ = end();
    return {};
  }

  bool give_back_space() override {
    const bool had_some = preallocates_ && preallocated_ > submitted_end_;
    preallocates_ = false;
    if (had_some) cut_to(data_end());
    return had_some;
  }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  struct Buffer {
    std::unique_ptr<std::byte[], Free> bytes;
    std::uint64_t offset = 0;
    std::size_t size = 0;
    bool in_flight = false;
  };

  Buffer& current() { return buffers_[current_]; }
  std::uint64_t end() const { return base_ + used_; }
  std::uint64_t data_end() const { return std::max(size_at_first_, submitted_end_); }

  /// A failure costs only space, and zeros at the end of a file that says itself where its data
  /// ends.
  void cut_to(std::uint64_t end) const {
    struct stat info {};
    if (::fstat(plain_fd_, &info) == 0 && info.st_size > static_cast<off_t>(end))
      static_cast<void>(::ftruncate(plain_fd_, static_cast<off_t>(end)) == 0);
  }

  /// For good: where one direct write is refused, all are.
  Result<> leave_if_refused() {
    if (!refused_ || plain_) return {};
    if (auto done = wait_for_all(); !done) return done;
    preallocates_ = false;
    cut_to(data_end());
    preallocated_ = 0;
    plain_ = make_buffered_stream(plain_fd_, name_, true);
    return plain_->write(base_, {current().bytes.get(), used_});
  }

  /// Over a hole.
  Result<> go_forward(std::uint64_t offset) {
    auto flushed = flush();
    forget(offset);
    return flushed ? read_back(offset) : flushed;
  }

  /// After a failure. What follows `offset` is void, whether it is on its way or failed: it is
  /// neither written any more nor told of.
  Result<> go_back(std::uint64_t offset) {
    while (in_flight_ > 0)
      if (!reap_one()) return fail_os(EIO, "waiting for " + name_);
    if (error_begin_ < offset) return take_error();
    static_cast<void>(take_error());  // See above.
    const std::uint64_t keep = round_up(offset, kAlignment);
    flushed_end_ = std::min(flushed_end_, offset);
    submitted_end_ = std::min(submitted_end_, keep);
    size_at_first_ = std::min(size_at_first_, keep);
    preallocates_ = false;  // It was after an error: whatever there is left is needed.
    cut_to(keep);
    if (offset >= base_) {
      used_ = static_cast<std::size_t>(offset - base_);
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
    std::memset(current().bytes.get(), 0, used_);
    const ssize_t got = ::pread(plain_fd_, current().bytes.get(), used_, static_cast<off_t>(block));
    return got < 0 ? fail_os(errno, "reading back " + name_) : Result<>();
  }

  void forget(std::uint64_t offset) {
    base_ = offset;
    used_ = 0;
  }

  Result<> take_next_buffer() {
    current_ = (current_ + 1) % kBuffers;
    while (current().in_flight)
      if (!reap_one()) return fail_os(EIO, "waiting for " + name_);
    return take_error();
  }

  Result<> submit(std::size_t size) {
    Buffer& buffer = current();
    buffer.offset = base_;
    buffer.size = size;
    submitted_end_ = std::max(submitted_end_, base_ + size);
    preallocate(base_ + size);
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
    if (entry == nullptr) return write_now(buffer, 0);
    ::io_uring_prep_write(entry, fd_.get(), buffer.bytes.get(), static_cast<unsigned>(size), base_);
    ::io_uring_sqe_set_data(entry, &buffer);
    int submitted = 0;
    do submitted = ::io_uring_submit(&ring_);
    while (submitted == -EINTR);
    if (submitted < 0) {
      // No memory for it, perhaps. The entry stays in the ring, and the next submission would send
      // it with whatever the buffer holds then: there is none.
      refused_ = true;
      return write_now(buffer, 0);
    }
    buffer.in_flight = true;
    ++in_flight_;
    return {};
  }

  /// Waits for one write. False only when the ring itself is broken.
  bool reap_one() {
    io_uring_cqe* done = nullptr;
    int waited = 0;
    do waited = ::io_uring_wait_cqe(&ring_, &done);
    while (waited == -EINTR);
    if (waited < 0) return false;
    auto& buffer = *static_cast<Buffer*>(::io_uring_cqe_get_data(done));
    const int result = done->res;
    ::io_uring_cqe_seen(&ring_, done);
    buffer.in_flight = false;
    --in_flight_;
    // A short write goes on by hand: it is rare, and its rest says why.
    Result<> outcome;
    if (result == -EINVAL) {  // O_DIRECT was accepted by open() but is not by write(): some network
      refused_ = true;        // and stacked file systems
      outcome = write_now(buffer, 0);
    } else if (result < 0)
      outcome = fail_os(-result, "writing " + name_);
    else if (static_cast<std::size_t>(result) < buffer.size)
      outcome = write_now(buffer, static_cast<std::size_t>(result));
    if (!outcome) note_error(buffer, std::move(outcome));
    return true;
  }

  void note_error(const Buffer& buffer, Result<> outcome) {
    // What did not fit has left what was there as it was; after another error nobody knows.
    const int error = outcome.error().os_errno();
    const bool did_not_fit = error == ENOSPC || error == EDQUOT || error == EFBIG;
    const std::uint64_t begin = did_not_fit ? std::max(buffer.offset, flushed_end_) : buffer.offset;
    error_begin_ = std::min(error_begin_, begin);
    if (error_) error_ = std::move(outcome);
  }

  Result<> write_now(const Buffer& buffer, std::size_t from) {
    // What is left of a short write need not be aligned: through the page cache.
    return write_all_at(plain_fd_, {buffer.bytes.get() + from, buffer.size - from},
                        buffer.offset + from, name_);
  }

  Result<> wait_for_all() {
    while (in_flight_ > 0)
      if (!reap_one()) return fail_os(EIO, "waiting for " + name_);
    return take_error();
  }

  Result<> take_error() {
    error_begin_ = kNoError;
    return std::exchange(error_, Result<>());
  }

  /// Keeps the file in few pieces, and its end ahead of the writes: a direct write that extends a
  /// file is waited for by the file system, with the file locked (ext4_dio_write_iter(),
  /// xfs_file_dio_write_aligned()), and the next one waits for it. Failing to is not an error:
  /// the write will say.
  void preallocate(std::uint64_t end) {
    if (end <= preallocated_ || !preallocates_) return;
    const std::uint64_t from = std::max(preallocated_, round_down(base_, kAlignment));
    preallocates_ = ::fallocate(plain_fd_, 0, static_cast<off_t>(from),
                                static_cast<off_t>(kPreallocateBytes)) == 0;
    preallocated_ = from + kPreallocateBytes;
    // A part of it may have been found (ext4): tables need it.
    if (!preallocates_) cut_to(data_end());
  }

  int plain_fd_;
  UniqueFd fd_;
  std::string name_;
  std::array<Buffer, kBuffers> buffers_;
  std::size_t current_ = 0;
  std::uint64_t base_ = 0;  ///< Where the current buffer's first byte goes.
  std::size_t used_ = 0;
  unsigned in_flight_ = 0;
  Result<> error_;  ///< The first failure of a write that nobody was told of yet.
  std::uint64_t error_begin_ = kNoError;  ///< From here on, nothing is certain.
  std::uint64_t flushed_end_ = 0;         ///< Up to here, a flush() has succeeded.
  std::uint64_t preallocated_ = 0;
  std::uint64_t size_at_first_ = 0;  ///< Of a file that is gone on with.
  std::uint64_t submitted_end_ = 0;
  bool preallocates_ = true;
  bool refused_ = false;
  std::unique_ptr<DataStream> plain_;  ///< Instead of all this, once direct writes were refused.
  io_uring ring_{};
  bool ring_ready_ = false;
};

}  // namespace

std::unique_ptr<DataStream> open_direct_stream(int fd, std::string name) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd direct(::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
  if (!direct) return nullptr;
  auto stream = std::make_unique<DirectStream>(fd, std::move(direct), std::move(name));
  if (!stream->open()) return nullptr;
  return stream;
}

}  // namespace hadump
