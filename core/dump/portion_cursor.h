// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/base/frame_set.h"

namespace hadump {

/// Cuts sets of frames into chunks: never across a multiple of kChunkFrames or a hole, so that a
/// frame's chunk is the same whatever the portions are. With several sets (one for each file of a
/// striped dump) their chunks take turns, so that all files grow at once.
class PortionCursor {
 public:
  explicit PortionCursor(std::vector<FrameSet> sets);

  /// Empty when there is nothing left.
  FrameRange next();

 private:
  struct Part {
    FrameSet frames;
    std::size_t range = 0;  ///< Index of the range that `at` is in.
    Gfn at;
  };

  std::vector<Part> parts_;
  std::size_t turn_ = 0;
};

/// The first frames of `frames`, `most` of them or somewhat fewer, up to a multiple of kChunkFrames
/// where there is one.
FrameSet first_frames(const FrameSet& frames, std::uint64_t most);

/// As large a part from the front of each set, `max_bytes` in all or about that: files that are
/// written so end at about the same time.
FrameSet first_of_each(const std::vector<FrameSet>& sets, std::uint64_t max_bytes);

}  // namespace hadump
