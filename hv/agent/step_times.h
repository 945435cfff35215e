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

  explicit StepTimes(Clock clock) : clock_(std::move(clock)), last_(clock_()) {}

  void lap(std::string step) {
    const std::chrono::nanoseconds now = clock_();
    using Milliseconds = std::chrono::duration<double, std::milli>;
    steps_.emplace_back(std::move(step), Milliseconds(now - last_).count());
    last_ = now;
  }
  /// Step and milliseconds.
  const std::vector<std::pair<std::string, double>>& steps() const { return steps_; }

 private:
  Clock clock_;
  std::chrono::nanoseconds last_;
  std::vector<std::pair<std::string, double>> steps_;
};

}  // namespace hadump
