// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/crash_limit.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>

namespace hadump {
namespace {

// Of the crashes of one domain, for whoever reads its record; the limit may need more.
constexpr std::size_t kRemembered = 64;

}  // namespace

std::uint64_t seconds_since_boot() {
  timespec now{};
  static_cast<void>(clock_gettime(CLOCK_BOOTTIME, &now));  // fails for an unknown clock only
  return static_cast<std::uint64_t>(now.tv_sec);
}

bool crashes_too_often(const std::vector<std::uint64_t>& crashes, std::uint64_t now,
                       const DomainPolicy& policy) {
  const auto period = static_cast<std::uint64_t>(policy.crash_period.count());
  const auto recent = std::count_if(crashes.begin(), crashes.end(), [&](std::uint64_t crash) {
    return crash <= now && now - crash < period;
  });
  return static_cast<std::uint64_t>(recent) >= policy.max_crashes;
}

Result<> count_crash(DomainRecord& record, std::uint64_t now, const DomainPolicy& policy) {
  if (record.crash_counted) return {};
  if (crashes_too_often(record.crashes, now, policy))
    return fail(ErrorCode::kBusy, fmt::format("crashed more than {} times within {} s",
                                              policy.max_crashes, policy.crash_period.count()));
  while (record.crashes.size() >= std::max<std::size_t>(kRemembered, policy.max_crashes))
    record.crashes.erase(record.crashes.begin());
  record.crashes.push_back(now);
  record.crash_counted = true;
  return {};
}

}  // namespace hadump
