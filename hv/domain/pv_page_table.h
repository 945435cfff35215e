// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "core/base/units.h"

namespace hadump {

/// Whose frame a machine frame is. Nothing: it is not the guest's, or nobody's.
using GuestFrameOf = std::function<std::optional<Gfn>(std::uint64_t mfn)>;

/// A PV guest writes machine frames into its page tables. Makes them guest frames, so that whoever
/// reads the dump can follow them as in any other guest's: what live migration does as well
/// (xen/docs/specs/libxc-migration-stream.pandoc, PAGE_DATA).
///
/// An entry that leads to a frame that is not the guest's becomes 0, and so do the hypervisor's own
/// entries in a top-level table (xen/include/public/arch-x86/xen.h, HYPERVISOR_VIRT_START): those
/// are no part of the guest's address space.
/// @param entries  the 512 of one table. @param level  1 (leaves) to 4.
void to_guest_frames(std::span<std::uint64_t> entries, unsigned level, const GuestFrameOf& frame);

}  // namespace hadump
