// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/base/error.h"
#include "core/base/frame_set.h"

namespace hadump {

/// Runs `work` on pieces of at most `piece_frames` frames that together are `frames`, on as many
/// threads as there are processors (at most 8). Pieces start where a range starts, then at every
/// multiple of piece_frames, so aligned pieces stay aligned.
/// @return the first failure; pieces not begun by then are not run.
Result<> parallel_for_pieces(const FrameSet& frames, std::uint64_t piece_frames,
                             const std::function<Result<>(FrameRange)>& work);

/// The same for pieces that the caller has cut, begun in their order.
Result<> parallel_for_each(std::span<const FrameRange> pieces,
                           const std::function<Result<>(FrameRange)>& work);

}  // namespace hadump
