// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

namespace hadump {

/// A list of regions as the module prints it, with one of each state.
inline constexpr const char* kSampleRegions =
    "0x0 0x10000000 window\n"
    "0x10000000 0x18000000 held\n"
    "0x18000000 0x18001000 partial\n"
    "0x18001000 0x20000000 hole\n"
    "0x20000000 0x28000000 released\n"
    "0x100000000 0x110000000 save-area\n";

}  // namespace hadump
