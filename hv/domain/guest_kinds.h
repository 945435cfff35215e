// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string_view>

#include "hv/domain/guest_kind.h"

namespace hadump {

/// @return nullptr when guests of that kind cannot be booted again.
const GuestKind* find_guest_kind(std::string_view name);

}  // namespace hadump
