// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/base/units.h"

namespace hadump {

/// "[0x10000000, 0x18000000)": bytes, end excluded.
inline std::string format_range(FrameRange range) {
  return fmt::format("[{:#x}, {:#x})", address_of(range.begin).value, address_of(range.end).value);
}

}  // namespace hadump
