// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <liburing.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>

#include "core/base/error.h"
#include "core/base/unique_handle.h"

namespace hadump {

/// Buffers that any threads fill, and that are written around the page cache, a few at a time, each
/// by the thread that brings its last byte. They are used in turn; one is current.
///
/// Threads: one at a time, except for filled().
class DirectBuffers {
 public:
  /// 2 MiB for each file: deep enough for a fast disk, and 16 files stay within what is promised.
  static constexpr std::size_t kBytes = 512 << 10;
  static constexpr unsigned kCount = 4;
  /// Fits every device that Linux runs on; the format keeps tables out of the data's blocks.
  static constexpr std::uint64_t kAlignment = 4096;
  static constexpr std::uint64_t kNoError = ~std::uint64_t{0};

  /// @param plain_fd   borrowed; the same file, for what is not aligned.
  /// @param direct_fd  opened with O_DIRECT.
  DirectBuffers(int plain_fd, UniqueFd direct_fd, std::string name)
      : plain_fd_(plain_fd), fd_(std::move(direct_fd)), name_(std::move(name)) {}
  DirectBuffers(const DirectBuffers&) = delete;
  DirectBuffers& operator=(const DirectBuffers&) = delete;
  ~DirectBuffers();

  /// False without the memory or the kernel for it.
  bool open();

  unsigned current() const { return current_; }
  std::byte* bytes() const { return bytes_.get() + current_ * kBytes; }

  /// The current buffer is to go to `offset`, of which it has `used` bytes already.
  void set_place(std::uint64_t offset, std::size_t used);
  /// More of the current buffer is going to be filled.
  void expect(std::size_t bytes);
  /// `bytes` of `buffer` are. From any thread.
  void filled(unsigned buffer, std::size_t bytes);
  /// The current buffer gets no more than the `size` bytes that were expected, a multiple of
  /// kAlignment: it is written as soon as it has them. Returns when the next one is free.
  Result<> turn(std::size_t size);
  /// Writes `size` bytes of the current buffer, which may then be filled further.
  /// @pre wait_until_filled().
  void write_current(std::size_t size) { submit(buffers_[current_], size); }

  /// Until all that is expected is there, and on its way to the file where a buffer is full.
  void wait_until_filled();
  /// Until nothing is on its way. False when there is no telling. @pre wait_until_filled().
  bool wait_until_written();

  /// The first failure of a write that nobody was told of yet, and where it was.
  Result<> take_error();
  std::uint64_t error_begin() const;
  /// What was there up to `offset` before is unharmed by a write that did not fit.
  void set_flushed_end(std::uint64_t offset) { flushed_end_ = offset; }
  std::uint64_t flushed_end() const { return flushed_end_; }
  /// End of what was ever written.
  std::uint64_t submitted_end() const;
  void limit_submitted_end(std::uint64_t offset);
  /// A direct write was refused: O_DIRECT was accepted by open(), but is not by write() (some
  /// network and stacked file systems). It was written in an ordinary way.
  bool is_refused() const { return is_refused_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  struct Buffer {
    std::byte* bytes = nullptr;
    std::uint64_t offset = 0;
    std::size_t filled = 0;
    std::size_t size = kBytes;  ///< It is written when so much is filled.
    std::size_t writing = 0;    ///< What the kernel was given of it.
    bool is_busy = false;       ///< It was turned away from, and is not written yet.
  };

  void submit(Buffer& buffer, std::size_t size);
  bool send(Buffer& buffer);
  bool reap_one();
  Result<> write_now(const Buffer& buffer, std::size_t from) const;
  void note_error(const Buffer& buffer, Result<> outcome);

  int plain_fd_;
  UniqueFd fd_;
  std::string name_;
  std::unique_ptr<std::byte[], Free> bytes_;
  std::array<Buffer, kCount> buffers_;
  unsigned current_ = 0;
  std::uint64_t flushed_end_ = 0;
  std::atomic<bool> is_refused_{false};

  std::mutex submission_;  // of the ring; its completions are for one thread
  io_uring ring_{};
  bool is_ring_ready_ = false;

  mutable std::mutex mutex_;  // protects what follows, and the buffers' members
  std::condition_variable changed_;
  std::size_t expected_ = 0;  // bytes, until they are filled and what that completes is submitted
  int in_flight_ = 0;  // submissions less completions; too small while one is being submitted
  std::uint64_t submitted_end_ = 0;
  Result<> error_;
  std::uint64_t error_begin_ = kNoError;  // from here on, nothing is certain
};

}  // namespace hadump
