// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>

#include "core/base/frame_set.h"

namespace hadump {

/// What is remembered of unreadable frames: a megabyte of ranges. Without a limit, a terabyte of
/// which every other page is lost would take 2 GiB.
inline constexpr std::size_t kMaxLostRanges = 1U << 16;

/// `set` and as little more as gives it at most `most` ranges: the smallest gaps are closed first,
/// by powers of two.
/// @pre most >= 1.
FrameSet with_fewer_ranges(const FrameSet& set, std::size_t most);

}  // namespace hadump
