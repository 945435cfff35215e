#include "hv/hadumpd/stall_watch.h"

#include <fmt/format.h>

#include <utility>

namespace hadump {

using Clock = std::chrono::steady_clock;

StallWatch::StallWatch(std::chrono::milliseconds patience, Report report)
    : patience_(patience),
      report_(std::move(report)),
      thread_([this](const std::stop_token& stop) { watch(stop); }) {}

StallWatch::~StallWatch() {
  thread_.request_stop();
  wake_.notify_all();
}

void StallWatch::begin(const std::string& what) {
  const std::lock_guard lock(mutex_);
  work_ = Work{what, "", Clock::now(), patience_};
  wake_.notify_all();
}

void StallWatch::reached(const std::string& step) {
  const std::lock_guard lock(mutex_);
  if (!work_) return;
  work_->step = step;
  work_->since = Clock::now();
  work_->patience = patience_;
}

void StallWatch::end() {
  const std::lock_guard lock(mutex_);
  work_.reset();
}

// A deadline that has moved on is seen when the old one has passed: no step wakes the thread.
void StallWatch::watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [this] { return work_.has_value(); })) {
    const auto due = work_->since + work_->patience;
    if (Clock::now() < due) {
      wake_.wait_until(lock, stop, due, [] { return false; });
      if (stop.stop_requested()) return;
      continue;
    }
    const auto stalled = std::chrono::duration_cast<std::chrono::milliseconds>(work_->patience);
    const std::string line =
        fmt::format("{}: no progress for {:.3g} s, {}", work_->what,
                    static_cast<double>(stalled.count()) / 1000,
                    work_->step.empty() ? "at its beginning"
                                        : fmt::format("behind the step \"{}\"", work_->step));
    work_->patience *= 2;
    lock.unlock();
    report_(line);
    lock.lock();
  }
}

}  // namespace hadump
