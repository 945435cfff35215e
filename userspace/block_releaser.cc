#include "userspace/block_releaser.h"

#include <algorithm>

#include "core/abi/hadump_abi.h"

namespace hadump {
namespace {

constexpr std::uint64_t kBlockFrames = HADUMP_BLOCK_SIZE >> kFrameShift;

}  // namespace

void BlockReleaser::release_around(const FrameSet& around, const MayGo& may_go) {
  std::uint64_t next = 0;  // Two ranges of `around` may share a block.
  for (FrameRange range : around.ranges()) {
    const std::uint64_t end = round_up(range.end.value, kBlockFrames);
    std::uint64_t begin = std::max(next, round_down(range.begin.value, kBlockFrames));
    for (; begin < end && !refused_for_good_; begin += kBlockFrames) {
      const FrameRange block{Gfn{begin}, Gfn{begin + kBlockFrames}};
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
