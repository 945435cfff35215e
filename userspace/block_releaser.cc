#include "userspace/block_releaser.h"

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

void BlockReleaser::release_block(FrameRange block) {
  // More than one range only where somebody released a part of the block by hand.
  const FrameSet parts = held_.intersection(block);
  for (FrameRange part : parts.ranges()) {
    if (auto done = releaser_.release(part); !done) {
      refused_for_good_ = done.error().code() == ErrorCode::kUnsupported;
      warn_(done.error().what());
      return;
    }
    held_.erase(part);
    released_bytes_ += part.bytes();
  }
}

}  // namespace hadump
