// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/time_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace hadump {
namespace {

// The end of year 9999, where the format ends.
constexpr std::uint64_t kLastTime = 253402300799;

}  // namespace

std::string time_text(std::uint64_t seconds) {
  if (seconds == 0 || seconds > kLastTime) return "at an unknown time";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string compact_time_text(std::uint64_t seconds) {
  if (seconds == 0 || seconds > kLastTime) return {};
  return fmt::format("{:%Y%m%dT%H%M%S}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

}  // namespace hadump
