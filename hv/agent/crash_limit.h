// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/error.h"
#include "hv/agent/policy.h"
#include "hv/rescue/record.h"

namespace hadump {

/// Now, in seconds since the host was started. Crashes are counted by this clock: an admin, or NTP,
/// who sets the other one back or forth must neither stop a rescue nor hide a crash loop.
std::uint64_t seconds_since_boot();

/// Whether a crash at `now` is one too many. @param crashes  when, by seconds_since_boot(). Later
/// ones than `now` do not count: an older hadumpd has written them by the other clock.
bool crashes_too_often(const std::vector<std::uint64_t>& crashes, std::uint64_t now,
                       const DomainPolicy& policy);

/// Counts the crash that a domain is in, at `now` (as above), unless it has been counted:
/// one crash is tried again after a SIGHUP, by the next agent, or when an admin asks for it, and
/// remains one crash. CrashRun takes the mark away when the guest runs again.
///
/// @return kBusy, naming the limit, when the domain crashes too often; then it is not counted, so
///         that waiting helps.
Result<> count_crash(DomainRecord& record, std::uint64_t now, const DomainPolicy& policy);

}  // namespace hadump
