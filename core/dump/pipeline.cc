// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/pipeline.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "core/dump/format.h"

namespace hadump {
namespace {

/// So many chunks are under way beyond one for each worker: what the workers have to do while the
/// caller makes a portion durable. With the buffers of 16 files this stays within the 64 MiB + 1
/// MiB for each worker that are promised.
constexpr std::size_t kSpareChunks = 40;
/// So many left-out chunks are waited for at once: about half, so that the workers have the others.
constexpr std::uint64_t kQuickChunks = kSpareChunks / 2;
/// Most chunks that have their place and wait to be copied there, or are: their room is taken from
/// a sink's buffers, which should be on their way to the disk.
constexpr std::size_t kMaxUnwritten = 8;

}  // namespace

Pipeline::Pipeline(unsigned workers, Work work)
    : work_(std::move(work)), slots_(workers + kSpareChunks) {
  for (std::size_t i = 0; i < slots_.size() + kMaxUnwritten; ++i)
    free_chunks_.push_back(std::make_unique<Chunk>());
  threads_.reserve(workers);
}

Result<std::unique_ptr<Pipeline>> Pipeline::create(unsigned workers, Work work) {
  std::unique_ptr<Pipeline> pipeline(new Pipeline(workers, std::move(work)));
  if (auto started = pipeline->start_threads(workers); !started) return fail(std::move(started));
  return pipeline;
}

Result<> Pipeline::start_threads(unsigned workers) {
  for (unsigned i = 0; i < workers; ++i) {
    try {
      threads_.emplace_back([this, i] { work_until_stopped(i); });
    } catch (const std::system_error& error) {
      if (i > 0) break;
      return fail_os(error.code().value(), "starting a thread");
    }
  }
  return {};
}

Pipeline::~Pipeline() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_ready_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Pipeline::work_until_stopped(unsigned worker) {
  std::unique_lock lock(mutex_);
  bool has_to_wake = false;
  // Whoever is woken needs the lock: told of it too early, it would only wait again.
  const auto unlock = [&] {
    lock.unlock();
    if (std::exchange(has_to_wake, false)) chunk_done_.notify_one();
  };
  // Made while there is memory.
  Result<> no_memory = fail_os(ENOMEM, "working on a part of the dump");
  for (;;) {
    while (taken_ == produced_ && to_write_.empty() && !stop_) {
      if (has_to_wake) {
        unlock();
        lock.lock();
        continue;
      }
      ++idle_workers_;
      work_ready_.wait(lock);
      --idle_workers_;
    }
    if (stop_) return unlock();
    if (!to_write_.empty()) {
      std::unique_ptr<Chunk> chunk = std::move(to_write_.front());
      to_write_.pop_front();
      unlock();
      fill_room(*chunk);
      lock.lock();
      put_back(std::move(chunk));
      --unwritten_;
      has_to_wake = unwritten_ < awaited_writes_;
      continue;
    }
    const std::uint64_t number = taken_++;
    Slot& mine = slot(number);
    mine.chunk = std::move(free_chunks_.back());
    free_chunks_.pop_back();
    unlock();
    mine.chunk->frames = mine.frames;
    try {
      work_(*mine.chunk, worker);
    } catch (const std::bad_alloc&) {
      mine.chunk->is_left_out = false;
      mine.chunk->result = std::move(no_memory);
    } catch (...) {  // it would end the process
      mine.chunk->is_left_out = false;
      mine.chunk->result = fail(ErrorCode::kOs, "unknown");  // short: allocates nothing
    }
    lock.lock();
    mine.done = true;
    if (awaited_ <= number) continue;
    if (!mine.chunk->is_left_out) has_news_ = wants_news_;
    has_to_wake = has_news_ || awaited_ == number + 1;
  }
}

void Pipeline::start(FrameRange frames) {
  const std::lock_guard lock(mutex_);
  Slot& next = slot(produced_);
  next.frames = frames;
  next.done = false;
  ++produced_;
  if (is_quick_)
    is_announced_ = false;
  else if (idle_workers_ > 0)
    work_ready_.notify_one();
}

/// Tells idle workers of what start() did not.
void Pipeline::announce() {
  if (is_announced_) return;
  is_announced_ = true;
  for (std::uint64_t i = std::min<std::uint64_t>(idle_workers_, produced_ - taken_); i > 0; --i)
    work_ready_.notify_one();
}

/// Until several of the chunks before `end` are done, or one that should not wait.
void Pipeline::wait_for_several(std::uint64_t end) {
  std::unique_lock lock(mutex_);
  announce();
  end = std::min(consumed_ + kQuickChunks, end);
  has_news_ = false;
  wants_news_ = true;
  awaited_ = end;
  while (!slot(end - 1).done && !has_news_) chunk_done_.wait(lock);
  awaited_ = 0;
  wants_news_ = has_news_ = false;
}

void Pipeline::wait_until_done(std::uint64_t number) {
  std::unique_lock lock(mutex_);
  announce();
  awaited_ = number + 1;
  while (!slot(number).done) chunk_done_.wait(lock);
  awaited_ = 0;
}

/// Until fewer than `limit` chunks are being written. @pre limit > 0; `lock` holds mutex_.
void Pipeline::wait_for_writes(std::size_t limit, std::unique_lock<std::mutex>& lock) {
  awaited_writes_ = limit;
  while (unwritten_ >= limit) chunk_done_.wait(lock);
  awaited_writes_ = 0;
}

/// @pre mutex_ is locked.
void Pipeline::put_back(std::unique_ptr<Chunk> chunk) {
  chunk->views.clear();  // Nothing may look at memory that is about to be released.
  free_chunks_.push_back(std::move(chunk));
}

/// What was consumed: to where it is written, or to where it is used again.
void Pipeline::pass_on(std::uint64_t number) {
  std::unique_lock lock(mutex_);
  std::unique_ptr<Chunk> chunk = std::move(slot(number).chunk);
  if (!chunk->room) return put_back(std::move(chunk));
  to_write_.push_back(std::move(chunk));
  ++unwritten_;
  if (idle_workers_ > 0) work_ready_.notify_one();
  if (unwritten_ == kMaxUnwritten) wait_for_writes(kMaxUnwritten / 2, lock);
}

void Pipeline::discard_ahead() {
  {
    // What no worker has taken yet is not even begun.
    const std::lock_guard lock(mutex_);
    produced_ = taken_;
  }
  for (; consumed_ != produced_; ++consumed_) {
    wait_until_done(consumed_);
    pass_on(consumed_);
  }
}

Result<> Pipeline::consume_next(const Consume& consume) {
  wait_until_done(consumed_);
  Chunk& chunk = *slot(consumed_).chunk;
  is_quick_ = chunk.is_left_out;
  auto result = consume(chunk);
  pass_on(consumed_++);
  return result;
}

/// One chunk, or of those that are left out as many as are done. @pre one before `end` is under
/// way.
Result<> Pipeline::consume_some(std::uint64_t end, const Consume& consume) {
  // To be woken for each of them would cost as much as to write it.
  constexpr std::uint64_t kAtOnce = 8;
  if (is_quick_)
    wait_for_several(end);
  else
    wait_until_done(std::min(consumed_ + kAtOnce, end) - 1);
  const std::uint64_t last = std::min(consumed_ + kQuickChunks, end);
  for (;;) {
    if (auto done = consume_next(consume); !done) return done;
    if (!is_quick_ || consumed_ == last) return {};
    const std::lock_guard lock(mutex_);
    if (!slot(consumed_).done) return {};
  }
}

Result<> Pipeline::run(const Produce& produce, const Produce& ahead, const Consume& consume) {
  std::uint64_t wanted_end = consumed_;  // chunks [consumed_, wanted_end) are this run's,
  std::uint64_t ahead_end = 0;           // those up to here of a later one
  FrameRange next = produce();
  const auto is_done = [&] { return next.empty() && consumed_ == wanted_end; };
  Result<> result;
  while (result && !is_done()) {
    // Only this thread changes produced_.
    while (!next.empty() && wanted_end - consumed_ < slots_.size()) {
      if (wanted_end == produced_) {
        start(next);
      } else if (slot(wanted_end).frames != next) {  // It was not what is wanted after all.
        while (consumed_ != wanted_end && result) result = consume_next(consume);
        discard_ahead();
        wanted_end = consumed_;
        if (!result) break;
        continue;
      }
      ++wanted_end;
      next = produce();
    }
    if (!result || is_done()) break;
    if (next.empty())
      for (ahead_end = std::max(ahead_end, wanted_end); ahead_end - consumed_ < slots_.size();
           ++ahead_end) {
        const FrameRange later = ahead();
        if (later.empty()) break;
        if (ahead_end == produced_) start(later);  // else a run before this one has started it
      }
    result = consume_some(wanted_end, consume);
  }
  if (!result) discard_ahead();
  std::unique_lock lock(mutex_);
  wait_for_writes(1, lock);
  announce();
  return result;
}

}  // namespace hadump
