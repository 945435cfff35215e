// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/error.h"
#include "hv/agent/policy.h"
#include "hv/rescue/record.h"

namespace hadump {

/// Whether a crash at `now` is one too many. @param crashes  when, seconds since 1970, ascending.
bool crashes_too_often(const std::vector<std::uint64_t>& crashes, std::uint64_t now,
                       const DomainPolicy& policy);

/// Counts the crash that a domain is in, at `now` (seconds since 1970), unless it has been counted:
/// one crash is tried again after a SIGHUP, by the next agent, or when an admin asks for it, and
/// remains one crash. CrashRun takes the mark away when the guest runs again.
///
/// @return kBusy, naming the limit, when the domain crashes too often; then it is not counted, so
///         that waiting helps.
Result<> count_crash(DomainRecord& record, std::uint64_t now, const DomainPolicy& policy);

}  // namespace hadump
