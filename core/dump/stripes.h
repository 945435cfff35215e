// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/dump/chunk_worker.h"

namespace hadump {

/// Where to divide the frames of a dump that goes to several files: so that each gets about as many
/// bytes, going by a sample of the pages (kSampledChunks, a few seconds at worst).
///
/// @param written  what of `frames` has to be read and written.
/// @param worker   borrowed for the duration of the call.
/// @return `count` adjacent ranges that cover `frames`, their borders multiples of kChunkFrames.
///         kUnsupported when there are fewer chunks than files.
Result<std::vector<FrameRange>> plan_stripes(const FrameSet& frames, const FrameSet& written,
                                             std::size_t count, ChunkWorker& worker,
                                             unsigned level);

inline constexpr std::size_t kSampledChunks = 512;

}  // namespace hadump
