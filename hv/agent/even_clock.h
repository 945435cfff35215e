// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>

namespace hadump {

/// Finds out when the wall clock was set: a clock that does not jump then differs from it by
/// another amount.
class EvenClock {
 public:
  /// A look. @param wall_ms  milliseconds since 1970. @param monotonic  at the same moment.
  /// @return for how long the wall clock has run evenly, by the looks so far; 0 at the first.
  std::chrono::milliseconds even_for(std::uint64_t wall_ms, std::chrono::milliseconds monotonic);

 private:
  bool was_looked_at_ = false;
  std::chrono::milliseconds difference_{};  ///< of the clocks
  std::chrono::milliseconds since_{};       ///< by the monotonic one
};

}  // namespace hadump
