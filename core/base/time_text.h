// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

namespace hadump {

/// "2026-11-21T03:36:42Z"; "at an unknown time" for 0 and for what no calendar has.
/// @param seconds  since 1970.
std::string time_text(std::uint64_t seconds);

/// "20261121T033642", for file names; empty for 0 and for what no calendar has.
std::string compact_time_text(std::uint64_t seconds);

}  // namespace hadump
