// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/abi/hadump_abi.h"
#include "core/base/frame_set.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// Where a Linux guest's direct mapping of physical memory starts, from its page tables: the first
/// mapping at or above the fixed lower bound of that area (0xffff888000000000, or
/// 0xff11000000000000 with five levels; Linux Documentation/x86/x86_64/mm.rst) is of physical 0,
/// and KASLR moves it by whole 1 GiB entries.
/// The guest's tables are believed only as far as they stay inside `ram`.
/// @return nothing when no vCPU's tables lead there.
std::optional<GuestVirt> find_page_offset(const GuestMemory& memory, const FrameSet& ram,
                                          std::span<const hadump_vcpu> vcpus);

/// Whether a registered value can be one: canonical, in the upper half, 1 GiB-aligned.
bool is_plausible_page_offset(GuestVirt address);

}  // namespace hadump
