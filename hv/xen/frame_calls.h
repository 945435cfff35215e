// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hv/domain/guest_memory.h"
#include "hv/xen/handles.h"

namespace hadump {

// What memory of every kind of domain has in common: calls about frames, by whatever numbers Xen
// knows the domain's frames (machine frames of a PV domain, guest frames of any other).

/// @param numbers  one for each frame of `range`. @param protection  PROT_READ or with PROT_WRITE.
/// @return as GuestMemory::map(); `handles` must outlive the mapping.
Result<FrameMapping> map_frames(const XenHandles& handles, unsigned domid, FrameRange range,
                                std::span<const xen_pfn_t> numbers, int protection);
/// One call for frames that lie apart. The memory stays mapped until the last of the mappings goes.
/// @param ranges  @param numbers  one for each frame of each range, in order.
/// @param out  gets one mapping for each range.
Result<> map_frames_apart(const XenHandles& handles, unsigned domid,
                          std::span<const FrameRange> ranges, std::span<const xen_pfn_t> numbers,
                          int protection, std::vector<FrameMapping>& out);
/// @param answer  of xc_get_pfn_type_batch().
FrameKind frame_kind(xen_pfn_t answer);
/// As GuestMemory::total_frames().
Result<std::uint64_t> total_frames(const XenHandles& handles, unsigned domid);

}  // namespace hadump
