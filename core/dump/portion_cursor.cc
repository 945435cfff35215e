// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/portion_cursor.h"

#include <algorithm>
#include <utility>

#include "core/dump/chunk.h"

namespace hadump {

PortionCursor::PortionCursor(std::vector<FrameSet> sets) {
  for (FrameSet& set : sets) {
    if (set.empty()) continue;
    const Gfn first = set.ranges().front().begin;
    parts_.push_back({std::move(set), 0, first});
  }
}

FrameRange PortionCursor::next() {
  if (parts_.empty()) return {};
  turn_ %= parts_.size();
  Part& part = parts_[turn_];
  const FrameRange range = part.frames.ranges()[part.range];
  const Gfn border{round_down(part.at.value + kChunkFrames, kChunkFrames)};
  const FrameRange chunk{part.at, std::min(border, range.end)};
  part.at = chunk.end;
  if (part.at != range.end) {
    ++turn_;
  } else if (++part.range < part.frames.ranges().size()) {
    part.at = part.frames.ranges()[part.range].begin;
    ++turn_;
  } else {
    parts_.erase(parts_.begin() + static_cast<std::ptrdiff_t>(turn_));
  }
  return chunk;
}

FrameSet first_frames(const FrameSet& frames, std::uint64_t most) {
  FrameSet first;
  for (FrameRange range : frames.ranges()) {
    if (most == 0) break;
    if (range.frames() > most) {
      const Gfn aligned{round_down(range.begin.value + most, kChunkFrames)};
      // Rather fewer than a part of a chunk, and of a byte of a bitmap.
      if (aligned <= range.begin && !first.empty()) break;
      range.end = aligned > range.begin ? aligned : Gfn{range.begin.value + most};
      most = range.frames();
    }
    first.insert(range);
    most -= range.frames();
  }
  return first;
}

FrameSet first_of_each(const std::vector<FrameSet>& sets, std::uint64_t max_bytes) {
  const std::uint64_t most = std::max<std::uint64_t>(max_bytes >> kFrameShift, 1);
  FrameSet all;
  for (const FrameSet& set : sets) all.insert(set);
  const std::uint64_t total = all.frames();
  if (total <= most) return all;
  FrameSet first;
  for (const FrameSet& set : sets) {
    const double share = static_cast<double>(set.frames()) / static_cast<double>(total);
    const auto frames = static_cast<std::uint64_t>(share * static_cast<double>(most));
    if (!set.empty())
      first.insert(first_frames(set, std::max<std::uint64_t>(frames, kChunkFrames)));
  }
  return first;
}

}  // namespace hadump
