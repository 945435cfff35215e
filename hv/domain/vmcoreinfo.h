// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/vmcore/vmcoreinfo_note.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// As much of a guest's memory is searched, so that a crash run's time has a bound: some seconds.
inline constexpr std::uint64_t kMaxVmcoreinfoSearch = 64_GiB;

/// Looks through memory, on several threads, for the page that starts with the note: for guests
/// that have not said where it is. From both ends of the memory inwards: Linux allocates the page
/// early, when the allocator still hands out what lies at the ends (seen near either of them).
/// @param limit  bytes to look at; what is in the middle of a larger guest is not found.
/// @return nothing when there is none.
Result<std::optional<GuestPhys>> find_vmcoreinfo(const GuestMemory& memory, const FrameSet& ram,
                                                 std::uint64_t limit = kMaxVmcoreinfoSearch);

/// Reads and checks the note at `at`.
/// @return kBadData when it is none or the memory is not there.
Result<std::vector<std::byte>> read_vmcoreinfo(const GuestMemory& memory, const FrameSet& ram,
                                               GuestPhys at);

}  // namespace hadump
