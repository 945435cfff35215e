// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"
#include "hv/domain/guest_kind.h"

namespace hadump {

/// How much of a PV guest's numbering may be without memory: with `e820_host=1` in xl.cfg it has
/// the host's memory map, and its RAM goes on above the host's holes below 4 GiB.
inline constexpr std::uint64_t kPvHoles = 4_GiB;

/// As GuestKind::ram. A PV guest numbers its frames itself, from 0 (PFNs), and tells Xen and us in
/// its p2m which machine frame each one is: a superset, of which a look at the frames finds the
/// rest absent.
Result<FrameSet> pv_ram(std::uint64_t memory_bytes);

/// Its page tables hold machine frames and are validated by Xen: nobody but itself could start
/// another kernel in its memory.
inline constexpr GuestKind kPvGuest{.name = "pv",
                                    .ram = pv_ram,
                                    .acpi = {},
                                    .special = {},
                                    .boots_in_place = false,
                                    .has_dirty_log = false,
                                    .keeps_memory = "its page tables"};

}  // namespace hadump
