// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/block_releaser.h"

#include <algorithm>

namespace hadump {

void BlockReleaser::release_around(const FrameSet& around, const MayGo& may_go) {
  std::uint64_t next = 0;  // Two ranges of `around` may share a block.
  for (FrameRange range : around.ranges()) {
    const std::uint64_t end = round_up(range.end.value, block_frames_);
    std::uint64_t begin = std::max(next, round_down(range.begin.value, block_frames_));
    for (; begin < end && !refused_for_good_; begin += block_frames_) {
      const FrameRange block{Gfn{begin}, Gfn{begin + block_frames_}};
      if (held_.overlaps(block) && may_go(block)) release_block(block);
    }
    next = end;
  }
}

// One write for a block, however many holes are in it. More only where somebody released a part of
// the block by hand.
void BlockReleaser::release_block(FrameRange block) {
  FrameSet ranges = held_.intersection(block);
  ranges.insert(holes_.intersection(block));
  for (FrameRange range : ranges.ranges()) {
    if (!held_.overlaps(range)) continue;
    if (auto done = releaser_.release(range); !done) {
      refused_for_good_ = done.error().code() == ErrorCode::kUnsupported;
      warn_(done.error().what());
      return;
    }
    released_bytes_ += held_.intersection(range).bytes();
    held_.erase(range);
  }
}

bool BlockReleaser::retry_refused(const RegionTable& table) {
  // A block that the save area lies in is complete only when that goes.
  const FrameSet save_area = table.in_state(RegionState::kSaveArea);
  const FrameSet asked = table.in_state(RegionState::kPartial);
  bool all = true;
  std::uint64_t done_to = 0;
  for (FrameRange range : asked.ranges())
    for (std::uint64_t at = std::max(done_to, range.begin.value); at < range.end.value;
         at = done_to) {
      done_to = round_down(at, block_frames_) + block_frames_;
      const FrameRange block{Gfn{done_to - block_frames_}, Gfn{done_to}};
      if (save_area.overlaps(block)) continue;
      // Any piece of such a block will do.
      if (auto done = releaser_.release({Gfn{at}, Gfn{at + 1}}); !done) {
        warn_(done.error().what());
        all = false;
      }
    }
  return all;
}

}  // namespace hadump
