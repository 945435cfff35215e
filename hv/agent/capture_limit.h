// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace hadump {

/// How many finished captures are kept: the section [captures]. 0: no limit.
struct CaptureLimits {
  std::uint64_t max_count = 0;
  std::uint64_t max_bytes = 0;     ///< of their dumps together
  std::uint64_t max_age_days = 0;  ///< since they were written

  /// @return kBadData for an unknown key or a value that makes no sense.
  Result<> set(const std::string& key, const std::string& value);
  bool any() const { return max_count != 0 || max_bytes != 0 || max_age_days != 0; }
};

/// 2020-01-01, before there was hadump: a clock that says less has not been set, such as that of a
/// host whose clock has no battery and which has not heard from an NTP server yet.
inline constexpr std::uint64_t kEarliestClockMs = 1'577'836'800'000;

/// A capture that is whole and that nothing but its files is left of.
struct EndedCapture {
  std::string name;
  std::uint64_t ended_ms = 0;
  std::uint64_t bytes = 0;
};

/// The names of those beyond the limits, oldest first. The newest is never among them: a limit must
/// not cost the dump of the crash that has just been. Neither is one that has ended before
/// kEarliestClockMs or after now: a clock was wrong, and nobody knows how old it is. Such ones
/// count.
std::vector<std::string> captures_to_discard(std::vector<EndedCapture> captures,
                                             const CaptureLimits& limits, std::uint64_t now_ms);

}  // namespace hadump
