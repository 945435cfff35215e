// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/frame_set.h"

namespace hadump {

/// More ranges than this are made fewer: 1 MiB. A live copy holds several such sets, and a guest
/// that writes to every other page would have one range for each 8 KiB.
inline constexpr std::size_t kMaxDirtyRanges = 65536;

/// What a bitmap of writes tells, a bit for each frame below `end`. As long as that is more than
/// `max_ranges`, the frames are taken in units twice as large, up to 2 MiB, of which each counts
/// whole when it has one: the least that is enough. Such units are then at most one range for each
/// 4 MiB of the guest.
FrameSet frames_of_bitmap(std::span<const std::uint64_t> words, Gfn end,
                          std::size_t max_ranges = kMaxDirtyRanges);

}  // namespace hadump
