#include "core/dump/pipeline.h"

#include <algorithm>
#include <utility>

namespace hadump {
namespace {

/// Two for each worker keep all of them busy while the consumer writes; with very many workers,
/// fewer, so that memory stays within 64 MiB + 1 MiB for each.
std::size_t slots_for(unsigned workers) {
  constexpr std::size_t kMostSpare = 64;
  return std::min<std::size_t>(2 * std::size_t{workers} + 2, workers + kMostSpare);
}

}  // namespace

Pipeline::Pipeline(unsigned workers, Work work) : work_(std::move(work)) {
  for (std::size_t i = 0; i < slots_for(workers); ++i) slots_.push_back(std::make_unique<Slot>());
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
    lock.unlock();
    work_(mine.chunk, worker);
    lock.lock();
    mine.done = true;
    if (awaited_ == number + 1) chunk_done_.notify_one();
  }
}

void Pipeline::wait_until_done(std::uint64_t number) {
  std::unique_lock lock(mutex_);
  awaited_ = number + 1;
  while (!slot(number).done) chunk_done_.wait(lock);
  awaited_ = 0;
}

Result<> Pipeline::run(const Produce& produce, const Consume& consume) {
  std::uint64_t next = produced_;      // only this thread changes produced_
  std::uint64_t consumed = produced_;  // nothing is under way between runs
  bool more = true;
  Result<> result;
  while (result) {
    while (more && next - consumed < slots_.size()) {
      Slot& free_slot = slot(next);
      more = produce(free_slot.chunk);
      if (!more) break;
      const std::lock_guard lock(mutex_);
      free_slot.done = false;
      produced_ = ++next;
      if (idle_workers_ > 0) work_ready_.notify_one();
    }
    if (consumed == next) return {};
    wait_until_done(consumed);
    result = consume(slot(consumed).chunk);
    ++consumed;
  }
  for (; consumed != next; ++consumed) wait_until_done(consumed);
  return result;
}

}  // namespace hadump
