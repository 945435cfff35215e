// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"
#include "hv/domain/guest_kind.h"

namespace hadump {

/// Where libxl puts things in a PVH guest. Sources: Xen 4.17 tools/libs/light/libxl_dom.c
/// (libxl__build_hvm: without a device model, low RAM ends at the lowest of the ACPI tables, the
/// local APIC's page and the special pages, which are the tables; the rest starts at 4 GiB),
/// libxl_x86_acpi.c (ACPI_INFO_PHYSICAL_ADDRESS), tools/libs/guest/xg_dom_x86.c
/// (X86_HVM_END_SPECIAL_REGION, X86_HVM_NR_SPECIAL_PAGES).
inline constexpr std::uint64_t kLowRamLimit = 0xfc000000;
inline constexpr std::uint64_t kHighRamStart = 4_GiB;
inline constexpr FrameRange kAcpiFrames{Gfn{0xfc000}, Gfn{0xfc010}};
inline constexpr FrameRange kSpecialFrames{Gfn{0xfeff8}, Gfn{0xff000}};

/// As GuestKind::ram.
Result<FrameSet> pvh_ram(std::uint64_t memory_bytes);

inline constexpr GuestKind kPvhGuest{
    .name = "pvh", .ram = pvh_ram, .acpi = kAcpiFrames, .special = kSpecialFrames};

}  // namespace hadump
