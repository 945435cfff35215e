// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/lost_frames.h"

#include <utility>

namespace hadump {

FrameSet with_fewer_ranges(const FrameSet& set, std::size_t most) {
  FrameSet fewer = set;
  for (std::uint64_t gap = 1; fewer.ranges().size() > most; gap *= 2) {
    FrameSet joined;
    FrameRange last{};
    for (FrameRange range : fewer.ranges()) {
      if (!last.empty() && range.begin.value - last.end.value <= gap) {
        last.end = range.end;
        continue;
      }
      joined.insert(last);
      last = range;
    }
    joined.insert(last);
    fewer = std::move(joined);
  }
  return fewer;
}

}  // namespace hadump
