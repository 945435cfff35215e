// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/capture_limit.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/text.h"

namespace hadump {
namespace {

constexpr std::uint64_t kDayMs = 86400ULL * 1000;
constexpr std::uint64_t kMaxDays = 36500;

}  // namespace

Result<> CaptureLimits::set(const std::string& key, const std::string& value) {
  std::uint64_t* const number = key == "max-count"  ? &max_count
                                : key == "max-size" ? &max_bytes
                                : key == "max-age"  ? &max_age_days
                                                    : nullptr;
  if (number == nullptr) return fail(ErrorCode::kBadData, fmt::format("unknown key '{}'", key));
  auto parsed = number == &max_bytes ? parse_size(value) : parse_decimal(value);
  if (!parsed) return fail(std::move(parsed));
  if (number == &max_age_days && *parsed > kMaxDays)
    return fail(ErrorCode::kBadData, fmt::format("{} is more than {} days", value, kMaxDays));
  *number = *parsed;
  return {};
}

std::vector<std::string> captures_to_discard(std::vector<EndedCapture> captures,
                                             const CaptureLimits& limits, std::uint64_t now_ms) {
  std::stable_sort(
      captures.begin(), captures.end(),
      [](const EndedCapture& a, const EndedCapture& b) { return a.ended_ms > b.ended_ms; });
  std::vector<std::string> names;
  const auto unknown_age = [now_ms](const EndedCapture& capture) {
    return capture.ended_ms < kEarliestClockMs || capture.ended_ms > now_ms;
  };
  std::uint64_t kept = 0, bytes = 0;
  for (const EndedCapture& capture : captures) {
    if (!unknown_age(capture)) continue;
    ++kept;
    bytes += capture.bytes;
  }
  bool is_newest = true;
  for (const EndedCapture& capture : captures) {
    if (unknown_age(capture)) continue;
    const std::uint64_t age_ms = now_ms - capture.ended_ms;
    const bool too_old = limits.max_age_days != 0 && age_ms / kDayMs >= limits.max_age_days;
    const bool too_many = limits.max_count != 0 && kept >= limits.max_count;
    const bool too_large = limits.max_bytes != 0 && bytes + capture.bytes > limits.max_bytes;
    if (!std::exchange(is_newest, false) && (too_old || too_many || too_large)) {
      names.push_back(capture.name);
      continue;
    }
    ++kept;
    bytes += capture.bytes;
  }
  std::reverse(names.begin(), names.end());
  return names;
}

}  // namespace hadump
