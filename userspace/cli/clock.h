// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>

namespace hadump {

/// Time, as a parameter. Implementations: SteadyClock, FakeClock (tests).
class Clock {
 public:
  virtual ~Clock() = default;
  /// Never goes back. Its start means nothing.
  virtual std::chrono::milliseconds now() const = 0;
};

class SteadyClock : public Clock {
 public:
  std::chrono::milliseconds now() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now().time_since_epoch());
  }
};

}  // namespace hadump
