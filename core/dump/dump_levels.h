// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace hadump {

/// Dump levels as in "1,31": the first, then what to fall back to on a full target.
/// @return kBadData with the reason.
Result<std::vector<unsigned>> parse_levels(std::string_view text);

}  // namespace hadump
