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
constexpr std::uint64_t kPreallocateBytes = 64U << 20;

/// Bytes are gathered in aligned buffers; full ones are written behind the caller's back, a few at
/// a time. The last block of a flush is padded with zeros and written again when it fills.
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
    // What was preallocated in vain goes back to the file system; a failure costs only space, and
    // zeros at the end of a file that says itself where its data ends.
    struct stat info {};
    if (preallocated_ > 0 && ::fstat(plain_fd_, &info) == 0 && info.st_size > data_end())
      static_cast<void>(::ftruncate(plain_fd_, data_end()) == 0);
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
    if (offset != end())
      if (auto moved = move_to(offset); !moved) return moved;
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
    if (used_ > 0) {
      const std::size_t whole = round_up(used_, kAlignment);
      std::memset(current().bytes.get() + used_, 0, whole - used_);
      if (auto sent = submit(whole); !sent) return sent;
    }
    return wait_for_all();
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
  off_t data_end() const { return static_cast<off_t>(std::max(size_at_first_, submitted_end_)); }

  /// A hole, or back after a failure. The rest of the block that `offset` is in is read back.
  Result<> move_to(std::uint64_t offset) {
    if (auto flushed = flush(); !flushed) {
      forget(offset);
      return flushed;
    }
    forget(offset);
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
    preallocate(base_ + size);
    Buffer& buffer = current();
    buffer.offset = base_;
    buffer.size = size;
    submitted_end_ = std::max(submitted_end_, base_ + size);
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
    if (entry == nullptr) return write_now(buffer, 0);
    ::io_uring_prep_write(entry, fd_.get(), buffer.bytes.get(), static_cast<unsigned>(size), base_);
    ::io_uring_sqe_set_data(entry, &buffer);
    int submitted = 0;
    do submitted = ::io_uring_submit(&ring_);
    while (submitted == -EINTR || submitted == -EAGAIN);
    if (submitted < 0) return fail_os(-submitted, "writing " + name_);
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
    if (result == -EINVAL)  // O_DIRECT was accepted by open() but is not by write(): some network
      outcome = write_now(buffer, 0);  // and stacked file systems
    else if (result < 0)
      outcome = fail_os(-result, "writing " + name_);
    else if (static_cast<std::size_t>(result) < buffer.size)
      outcome = write_now(buffer, static_cast<std::size_t>(result));
    if (!outcome && error_) error_ = std::move(outcome);
    return true;
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

  Result<> take_error() { return std::exchange(error_, Result<>()); }

  /// Keeps the file in few pieces, and its end ahead of the writes: a direct write that extends a
  /// file is waited for by the file system, with the file locked (ext4_dio_write_iter(),
  /// xfs_file_dio_write_aligned()), and the next one waits for it. Not being able to is no error:
  /// the write will say.
  void preallocate(std::uint64_t end) {
    if (end <= preallocated_ || !preallocates_) return;
    const std::uint64_t from = std::max(preallocated_, round_down(base_, kAlignment));
    preallocates_ = ::fallocate(plain_fd_, 0, static_cast<off_t>(from),
                                static_cast<off_t>(kPreallocateBytes)) == 0;
    preallocated_ = from + kPreallocateBytes;
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
  std::uint64_t preallocated_ = 0;
  std::uint64_t size_at_first_ = 0;  ///< Of a file that is gone on with.
  std::uint64_t submitted_end_ = 0;
  bool preallocates_ = true;
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
