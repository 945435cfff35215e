// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/stall_watch.h"

#include <fmt/format.h>

#include <utility>

namespace hadump {

using Clock = std::chrono::steady_clock;

StallWatch::StallWatch(Report report)
    : report_(std::move(report)), thread_([this](const std::stop_token& stop) { watch(stop); }) {}

StallWatch::~StallWatch() {
  thread_.request_stop();
  wake_.notify_all();
}

void StallWatch::begin(const std::string& what, std::chrono::milliseconds patience) {
  const std::lock_guard lock(mutex_);
  work_ = Work{.what = what, .patience = patience};
  wake_.notify_all();
}

void StallWatch::reached(const std::string& step) {
  const std::lock_guard lock(mutex_);
  if (!work_) return;
  work_ = Work{.what = work_->what, .patience = work_->patience, .step = step};
  wake_.notify_all();
}

void StallWatch::end() {
  const std::lock_guard lock(mutex_);
  work_.reset();
}

void StallWatch::watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [this] { return work_.has_value(); })) {
    const auto due = work_->since + work_->told;
    if (Clock::now() < due) {
      wake_.wait_until(lock, stop, due, [&] { return !work_ || work_->since + work_->told < due; });
      if (stop.stop_requested()) return;
      continue;
    }
    const std::string line =
        fmt::format("{}: no progress for {:.3g} s, {}", work_->what,
                    std::chrono::duration<double>(work_->told).count(),
                    work_->step.empty() ? "before the first step"
                                        : fmt::format("after step \"{}\"", work_->step));
    work_->told *= 2;
    lock.unlock();
    report_(line);
    lock.lock();
  }
}

}  // namespace hadump
