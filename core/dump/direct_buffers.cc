// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/direct_buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/file.h"

namespace hadump {
namespace {

// Not an error of the file: direct writes are not possible there, or the kernel has no thread or no
// memory for them.
bool is_of_the_ring(int result) {
  return result == -EINVAL || result == -ECANCELED || result == -EAGAIN || result == -ENOMEM;
}

}  // namespace

DirectBuffers::~DirectBuffers() {
  if (!is_ring_ready_) return;
  static_cast<void>(wait_until_written());
  ::io_uring_queue_exit(&ring_);
}

bool DirectBuffers::open() {
  constexpr std::size_t kAll = kCount * kBytes;
  bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(kAll, kAll)));
  if (!bytes_) return false;
  // A write then is a few pieces of memory for the device, and not one for each 4 KiB.
  static_cast<void>(::madvise(bytes_.get(), kAll, MADV_HUGEPAGE));
  for (unsigned i = 0; i < kCount; ++i) buffers_[i].bytes = bytes_.get() + i * kBytes;
  is_ring_ready_ = ::io_uring_queue_init(kCount, &ring_, 0) == 0;
  return is_ring_ready_;
}

void DirectBuffers::set_place(std::uint64_t offset, std::size_t used) {
  const std::lock_guard lock(mutex_);
  buffers_[current_].offset = offset;
  buffers_[current_].filled = used;
}

void DirectBuffers::expect(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  expected_ += bytes;
}

void DirectBuffers::filled(unsigned index, std::size_t bytes) {
  Buffer& buffer = buffers_[index];
  bool is_full = false;
  {
    const std::lock_guard lock(mutex_);
    buffer.filled += bytes;
    is_full = buffer.filled == buffer.size;
  }
  if (is_full) submit(buffer, buffer.size);
  const std::lock_guard lock(mutex_);
  expected_ -= bytes;
  if (expected_ == 0) changed_.notify_one();
}

Result<> DirectBuffers::turn(std::size_t size) {
  Buffer& buffer = buffers_[current_];
  bool is_full = false;
  {
    const std::lock_guard lock(mutex_);
    // A whole buffer is submitted by whoever fills it, perhaps before this.
    is_full = size < kBytes && buffer.filled == size;
    buffer.size = size;
    buffer.is_busy = true;
  }
  if (is_full) submit(buffer, size);

  current_ = (current_ + 1) % kCount;
  Buffer& next = buffers_[current_];
  std::unique_lock lock(mutex_);
  while (next.is_busy) {
    if (in_flight_ <= 0) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    if (!reap_one()) return fail_os(EIO, "waiting for " + name_);
    lock.lock();
  }
  next.filled = 0;
  next.size = kBytes;
  lock.unlock();
  return take_error();
}

void DirectBuffers::wait_until_filled() {
  std::unique_lock lock(mutex_);
  while (expected_ > 0) changed_.wait(lock);
}

bool DirectBuffers::wait_until_written() {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (in_flight_ == 0) return true;
    }
    if (!reap_one()) return false;
  }
}

void DirectBuffers::submit(Buffer& buffer, std::size_t size) {
  {
    const std::lock_guard lock(mutex_);
    buffer.is_busy = true;
    buffer.writing = size;
    submitted_end_ = std::max(submitted_end_, buffer.offset + size);
  }
  const bool sent = send(buffer);
  Result<> outcome;
  if (!sent) outcome = write_now(buffer, 0);
  const std::lock_guard lock(mutex_);
  if (sent)
    ++in_flight_;
  else
    buffer.is_busy = false;
  if (!outcome) note_error(buffer, std::move(outcome));
  changed_.notify_one();
}

bool DirectBuffers::send(Buffer& buffer) {
  const std::lock_guard lock(submission_);
  io_uring_sqe* const entry = is_refused_ ? nullptr : ::io_uring_get_sqe(&ring_);
  if (entry == nullptr) return false;
  ::io_uring_prep_write(entry, fd_.get(), buffer.bytes, static_cast<unsigned>(buffer.writing),
                        buffer.offset);
  ::io_uring_sqe_set_data(entry, &buffer);
  int submitted = 0;
  do submitted = ::io_uring_submit(&ring_);
  while (submitted == -EINTR);
  // No memory for it, perhaps. The entry stays in the ring, and the next submission would send it
  // with whatever the buffer holds then: there is none.
  if (submitted < 0) is_refused_ = true;
  return submitted >= 0;
}

/// Waits for one write. False only when the ring itself is broken.
bool DirectBuffers::reap_one() {
  io_uring_cqe* done = nullptr;
  int waited = 0;
  do waited = ::io_uring_wait_cqe(&ring_, &done);
  while (waited == -EINTR);
  if (waited < 0) return false;
  auto& buffer = *static_cast<Buffer*>(::io_uring_cqe_get_data(done));
  const int result = done->res;
  ::io_uring_cqe_seen(&ring_, done);
  // A short write goes on by hand: it is rare, and its rest says why.
  Result<> outcome;
  if (is_of_the_ring(result)) {
    is_refused_ = true;
    outcome = write_now(buffer, 0);
  } else if (result < 0) {
    outcome = fail_os(-result, "writing " + name_);
  } else if (static_cast<std::size_t>(result) < buffer.writing) {
    outcome = write_now(buffer, static_cast<std::size_t>(result));
  }
  const std::lock_guard lock(mutex_);
  buffer.is_busy = false;
  --in_flight_;
  if (!outcome) note_error(buffer, std::move(outcome));
  return true;
}

Result<> DirectBuffers::write_now(const Buffer& buffer, std::size_t from) const {
  // What is left of a short write need not be aligned: through the page cache.
  return write_all_at(plain_fd_, {buffer.bytes + from, buffer.writing - from}, buffer.offset + from,
                      name_);
}

/// @pre mutex_ is locked.
void DirectBuffers::note_error(const Buffer& buffer, Result<> outcome) {
  // What did not fit has left what was there as it was; after another error nobody knows.
  const int error = outcome.error().os_errno();
  const bool did_not_fit = error == ENOSPC || error == EDQUOT || error == EFBIG;
  const std::uint64_t begin = did_not_fit ? std::max(buffer.offset, flushed_end_) : buffer.offset;
  error_begin_ = std::min(error_begin_, begin);
  if (error_) error_ = std::move(outcome);
}

Result<> DirectBuffers::take_error() {
  const std::lock_guard lock(mutex_);
  error_begin_ = kNoError;
  return std::exchange(error_, Result<>());
}

std::uint64_t DirectBuffers::error_begin() const {
  const std::lock_guard lock(mutex_);
  return error_begin_;
}

std::uint64_t DirectBuffers::submitted_end() const {
  const std::lock_guard lock(mutex_);
  return submitted_end_;
}

void DirectBuffers::limit_submitted_end(std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  submitted_end_ = std::min(submitted_end_, offset);
}

}  // namespace hadump
