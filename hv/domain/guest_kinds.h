// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string_view>

#include "hv/domain/guest_kind.h"

namespace hadump {

/// @return nullptr when nothing is known of that kind.
const GuestKind* find_guest_kind(std::string_view name);

}  // namespace hadump
