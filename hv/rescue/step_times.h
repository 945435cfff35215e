// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace hadump {

/// How long each named step took, in order. A step ends where the next lap() is called.
class StepTimes {
 public:
  using Clock = std::function<std::chrono::nanoseconds()>;  ///< monotonic

  /// @param reached  called with each step that has ended; may be empty.
  explicit StepTimes(Clock clock, std::function<void(const std::string& step)> reached = {})
      : clock_(std::move(clock)), reached_(std::move(reached)), last_(clock_()) {}

  void lap(std::string step) {
    const std::chrono::nanoseconds now = clock_();
    using Milliseconds = std::chrono::duration<double, std::milli>;
    steps_.emplace_back(std::move(step), Milliseconds(now - last_).count());
    last_ = now;
    if (reached_) reached_(steps_.back().first);
  }
  /// Step and milliseconds.
  const std::vector<std::pair<std::string, double>>& steps() const { return steps_; }

 private:
  Clock clock_;
  std::function<void(const std::string&)> reached_;
  std::chrono::nanoseconds last_;
  std::vector<std::pair<std::string, double>> steps_;
};

}  // namespace hadump
