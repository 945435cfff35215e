// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "hv/domain/domain_config.h"

namespace hadump {

/// Domains that hadumpd creates for their ACPI tables have names that begin with this.
inline constexpr std::string_view kTwinPrefix = "hadump-twin-";

/// How the UUIDs of one hadumpd's twins begin, so that the next one knows what it has left behind
/// when it was killed: the hypervisor has a UUID from the first moment of a domain, a name it has
/// not. Another hadumpd, with another state directory, has another mark.
using TwinMark = std::array<std::uint8_t, 8>;

/// @param device, inode  of the state directory, which one hadumpd at a time has locked.
TwinMark twin_mark(std::uint64_t device, std::uint64_t inode);

/// The twins among `domains` that bear the mark. A twin never runs, so one that does is none.
/// @pre no twin is being made: the state directory is locked, and nothing has been prepared yet.
std::vector<unsigned> leftover_twins(std::span<const DomainStatus> domains, const TwinMark& mark);

}  // namespace hadump
