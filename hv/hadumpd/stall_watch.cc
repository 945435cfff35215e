// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/stall_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hadump {

using Clock = std::chrono::steady_clock;

StallWatch::StallWatch(Report report)
    : report_(std::move(report)), thread_([this](const std::stop_token& stop) { watch(stop); }) {}

StallWatch::~StallWatch() {
  thread_.request_stop();
  wake_.notify_all();
}

StallWatch::Key StallWatch::begin(const std::string& what, std::chrono::milliseconds patience) {
  const std::lock_guard lock(mutex_);
  works_.emplace(++last_, Work{.what = what, .patience = patience});
  changed_ = true;
  wake_.notify_all();
  return last_;
}

void StallWatch::reached(Key key, const std::string& step) {
  const std::lock_guard lock(mutex_);
  const auto found = works_.find(key);
  if (found == works_.end()) return;
  Work& work = found->second;
  work = Work{.what = work.what, .patience = work.patience, .step = step};
  changed_ = true;
  wake_.notify_all();
}

void StallWatch::end(Key key) {
  const std::lock_guard lock(mutex_);
  works_.erase(key);
}

// With mutex_ held.
std::vector<std::string> StallWatch::lines_due() {
  std::vector<std::string> lines;
  std::vector<Work*> told;
  for (auto& [key, work] : works_) {
    if (Clock::now() < work.due()) continue;
    lines.push_back(fmt::format(
        "{}: no progress for {:.3g} s, {}", work.what,
        std::chrono::duration<double>(work.told).count(),
        work.step.empty() ? "before the first step" : fmt::format("after step \"{}\"", work.step)));
    told.push_back(&work);
  }
  for (Work* work : told) work->told *= 2;
  return lines;
}

// An exception that leaves the thread would end the process. Without memory for its lines there are
// others when the work has stood still for twice as long.
void StallWatch::watch(const std::stop_token& stop) {
  constexpr std::chrono::seconds kPauseAfterFailure{1};
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [this] { return !works_.empty(); })) {
    try {
      look(lock, stop);
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      wake_.wait_for(lock, stop, kPauseAfterFailure, [] { return false; });
    }
    if (stop.stop_requested()) return;
  }
}

void StallWatch::look(std::unique_lock<std::mutex>& lock, const std::stop_token& stop) {
  const std::vector<std::string> lines = lines_due();
  if (!lines.empty()) {
    lock.unlock();
    for (const std::string& line : lines) report_(line);
    lock.lock();
    return;
  }
  changed_ = false;
  const auto next = std::min_element(
      works_.begin(), works_.end(),
      [](const auto& a, const auto& b) { return a.second.due() < b.second.due(); });
  const auto due = next->second.due();
  wake_.wait_until(lock, stop, due, [this] { return changed_; });
}

}  // namespace hadump
