// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/even_clock.h"

#include <utility>

namespace hadump {
namespace {

/// Clocks are also set by running a little faster or slower.
constexpr std::chrono::milliseconds kDrift = std::chrono::minutes(1);

}  // namespace

std::chrono::milliseconds EvenClock::even_for(std::uint64_t wall_ms,
                                              std::chrono::milliseconds monotonic) {
  const auto wall = std::chrono::milliseconds(static_cast<std::int64_t>(wall_ms));
  const auto change = wall - monotonic - difference_;
  if (!std::exchange(was_looked_at_, true) || std::chrono::abs(change) > kDrift) since_ = monotonic;
  difference_ = wall - monotonic;
  return monotonic - since_;
}

}  // namespace hadump
