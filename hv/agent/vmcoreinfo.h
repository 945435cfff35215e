#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "hv/agent/guest_memory.h"

namespace hadump {

/// The VMCOREINFO note at the start of `bytes`: the part of `bytes` that is the note, padding
/// included. kBadData when it is none: wrong name or type, longer than HADUMP_MAX_VMCOREINFO or
/// than `bytes`, or a text without an OSRELEASE line first.
Result<std::span<const std::byte>> check_vmcoreinfo_note(std::span<const std::byte> bytes);

/// Looks through memory, on several threads, for the page that starts with the note: for guests
/// that have not said where it is. The time grows with the guest's memory.
/// @return nothing when there is none.
Result<std::optional<GuestPhys>> find_vmcoreinfo(const GuestMemory& memory, const FrameSet& ram);

/// Reads and checks the note at `at`.
/// @return kBadData when it is none or the memory is not there.
Result<std::vector<std::byte>> read_vmcoreinfo(const GuestMemory& memory, const FrameSet& ram,
                                               GuestPhys at);

}  // namespace hadump
