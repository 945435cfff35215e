#include "core/dump/pipeline.h"

#include <algorithm>
#include <utility>

namespace hadump {
namespace {

/// So many chunks are under way beyond one for each worker: what the workers have to do while the
/// caller makes a portion durable. With the buffers of 16 files this stays within the 64 MiB + 1
/// MiB for each worker that are promised.
constexpr std::size_t kSpareChunks = 40;

}  // namespace

Pipeline::Pipeline(unsigned workers, Work work)
    : work_(std::move(work)), slots_(workers + kSpareChunks) {
  for (std::size_t i = 0; i < slots_.size(); ++i) free_chunks_.push_back(std::make_unique<Chunk>());
  for (unsigned i = 0; i < workers; ++i)
    threads_.emplace_back([this, i] { work_until_stopped(i); });
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
  for (;;) {
    while (taken_ == produced_ && !stop_) {
      ++idle_workers_;
      work_ready_.wait(lock);
      --idle_workers_;
    }
    if (stop_) return;
    const std::uint64_t number = taken_++;
    Slot& mine = slot(number);
    mine.chunk = std::move(free_chunks_.back());
    free_chunks_.pop_back();
    lock.unlock();
    mine.chunk->frames = mine.frames;
    work_(*mine.chunk, worker);
    lock.lock();
    mine.done = true;
    if (awaited_ == number + 1) chunk_done_.notify_one();
  }
}

void Pipeline::start(FrameRange frames) {
  const std::lock_guard lock(mutex_);
  Slot& next = slot(produced_);
  next.frames = frames;
  next.done = false;
  ++produced_;
  if (idle_workers_ > 0) work_ready_.notify_one();
}

void Pipeline::wait_until_done(std::uint64_t number) {
  std::unique_lock lock(mutex_);
  awaited_ = number + 1;
  while (!slot(number).done) chunk_done_.wait(lock);
  awaited_ = 0;
}

void Pipeline::put_back(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  slot(number).chunk->views.clear();  // Nothing may look at memory that is about to be released.
  free_chunks_.push_back(std::move(slot(number).chunk));
}

void Pipeline::discard_ahead() {
  {
    // What no worker has taken yet is not even begun.
    const std::lock_guard lock(mutex_);
    produced_ = taken_;
  }
  for (; consumed_ != produced_; ++consumed_) {
    wait_until_done(consumed_);
    put_back(consumed_);
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
        while (consumed_ != wanted_end && result) {
          wait_until_done(consumed_);
          result = consume(*slot(consumed_).chunk);
          put_back(consumed_++);
        }
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
    wait_until_done(consumed_);
    result = consume(*slot(consumed_).chunk);
    put_back(consumed_++);
  }
  if (!result) discard_ahead();
  return result;
}

}  // namespace hadump
