// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/late_writer.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace hadump {

LateWriter::LateWriter(StallWatch& stalls)
    : stalls_(stalls), thread_([this](const std::stop_token& stop) { run(stop); }) {}

void LateWriter::soon(const std::string& key, std::function<void()> write) {
  Writes one;
  one.push_back({key, std::move(write)});
  const std::lock_guard lock(mutex_);
  const auto earlier = std::find_if(waiting_.begin(), waiting_.end(),
                                    [&](const Write& other) { return other.key == key; });
  if (earlier != waiting_.end())
    std::swap(earlier->write, one.front().write);
  else
    waiting_.splice(waiting_.end(), one);
  wake_.notify_all();
}

void LateWriter::settle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return waiting_.empty() && !writing_; });
}

void LateWriter::run(const std::stop_token& stop) {
  constexpr std::chrono::seconds kPauseAfterFailure{1};
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
    Writes one;
    one.splice(one.end(), waiting_, waiting_.begin());
    writing_ = true;
    lock.unlock();
    const bool done = carry_out(one.front());
    lock.lock();
    writing_ = false;
    const bool newer = std::any_of(waiting_.begin(), waiting_.end(), [&](const Write& other) {
      return other.key == one.front().key;
    });
    if (!done && !newer && !stop.stop_requested()) {
      waiting_.splice(waiting_.end(), one);
      wake_.wait_for(lock, stop, kPauseAfterFailure, [] { return false; });
    }
    if (waiting_.empty()) idle_.notify_all();
  }
}

// An exception that leaves the thread would end the process.
// @return whether it can be forgotten: not, where there was no memory for it.
bool LateWriter::carry_out(const Write& one) noexcept try {
  const WatchedWork work(stalls_, "writing down what has happened");
  one.write();
  return true;
} catch (...) {
  return false;
}

}  // namespace hadump
