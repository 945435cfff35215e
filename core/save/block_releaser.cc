// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/block_releaser.h"

#include <algorithm>

namespace hadump {

Result<> take_a_look(RegionReleaser& releaser, FrameLedger& ledger) {
  auto now = releaser.regions();
  if (now)
    ledger.look(*now);
  else if (now.error().code() == ErrorCode::kNotFound)
    ledger.look_at_nothing();
  else
    return fail(std::move(now), "looking at what is still held");
  return {};
}

void BlockReleaser::release_around(const FrameSet& around, const MayGo& may_go) {
  std::uint64_t next = 0;  // Two ranges of `around` may share a block.
  for (FrameRange range : around.ranges()) {
    const std::uint64_t end = round_up(range.end.value, block_frames_);
    std::uint64_t begin = std::max(next, round_down(range.begin.value, block_frames_));
    for (; begin < end && !refused_for_good_; begin += block_frames_) {
      const FrameRange block{Gfn{begin}, Gfn{begin + block_frames_}};
      if (!ledger_.held().overlaps(block) || !ledger_.is_safe(block)) continue;
      if (!may_go || may_go(block)) release_block(block);
    }
    next = end;
  }
}

void BlockReleaser::release_block(FrameRange block) {
  auto done = release_ranges(block);
  // A part of it may have gone by hand, since the ledger's last look.
  if (!done && done.error().code() == ErrorCode::kBadData && others_have_released())
    done = release_ranges(block);
  if (!done) warn_(done.error().what());
}

// One write for a block, however many holes are in it. More only where somebody released a part of
// the block by hand.
Result<> BlockReleaser::release_ranges(FrameRange block) {
  const FrameSet ranges = ledger_.to_release(block);
  for (FrameRange range : ranges.ranges()) {
    if (!ledger_.held().overlaps(range)) continue;
    if (auto checked = ledger_.check_release(range); !checked) return checked;
    if (auto done = releaser_.release(range); !done) {
      refused_for_good_ = done.error().code() == ErrorCode::kUnsupported;
      if (done.error().code() == ErrorCode::kOs) ledger_.note_refused(range);
      return done;
    }
    ledger_.note_released(range);
  }
  return {};
}

bool BlockReleaser::others_have_released() {
  const FrameSet known = ledger_.taken();
  return take_a_look(releaser_, ledger_) && ledger_.taken() != known;
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
