// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"
#include "hv/domain/guest_kind.h"

namespace hadump {

/// Where RAM may be in an HVM guest: a superset, of which a look at the frames finds the rest
/// absent. Low RAM ends at 0xf0000000 (xen/public/hvm/e820.h, HVM_BELOW_4G_RAM_END) or, with
/// `mmio_hole=` in xl.cfg or where hvmloader makes room for the guest's devices
/// (tools/firmware/hvmloader/pci.c), further down, but not below 2 GiB; what lay there is above 4
/// GiB then. The device model's video memory lies above the RAM, or in that
/// hole, and counts as the domain's.
inline constexpr std::uint64_t kHvmLowRamLimit = 0xf0000000;
inline constexpr std::uint64_t kHvmLowestRamLimit = 2_GiB;

/// As GuestKind::ram.
Result<FrameSet> hvm_ram(std::uint64_t memory_bytes);

/// Firmware, ACPI tables and a device model are its own: it starts at a reset vector, and not at a
/// kernel's entry. tools/libs/guest/xg_dom_x86.c: its special pages are where PVH has them.
inline constexpr GuestKind kHvmGuest{.name = "hvm",
                                     .ram = hvm_ram,
                                     .acpi = {},
                                     .special = {Gfn{0xfeff8}, Gfn{0xff000}},
                                     .boots_in_place = false,
                                     .has_device_model = true,
                                     .keeps_memory = "its device model"};

}  // namespace hadump
