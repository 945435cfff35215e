// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "tests/lab/truth/truth_file.h"

namespace hadump::lab {

using FrameBytes = std::span<const std::byte, kFrameSize>;

// The few frames of a crashed guest that Xen still writes to, although no vCPU runs and no backend
// is connected: the truth keeps their bytes, and a comparison may say what has changed in them.
//
// - the shared info page: dom0 sets the wall clock in it every 11 minutes;
// - event channels (xen/include/public/event_channel.h, FIFO ABI): a timer that the guest had set
// before
//   its crash, or a word from xenstored, raises an event. Xen marks it in the page of event words,
//   in the vCPU's control block, and in its vcpu_info.

/// True for frames whose bytes the truth keeps: the first MiB, and what looks like FIFO event
/// channels.
bool may_be_xens(std::uint64_t frame, FrameBytes bytes);

/// @return why the frame differs, when Xen's own writing explains every byte of it.
std::optional<const char*> explain_kept(std::uint64_t frame, FrameBytes before, FrameBytes after);

/// The same for a frame of which only the hash was kept: exactly one vcpu_info in it has been
/// marked.
std::optional<const char*> explain_vcpu_info(std::uint64_t hash_before, FrameBytes after);

}  // namespace hadump::lab
