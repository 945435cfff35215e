// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/frame_ledger.h"

#include <utility>

#include "core/base/format_range.h"
#include "core/dump/lost_frames.h"

namespace hadump {
namespace {

FrameSet released_in(const RegionTable& table) {
  FrameSet released = table.in_state(RegionState::kReleased);
  released.insert(table.in_state(RegionState::kPartial));
  return released;
}

}  // namespace

FrameLedger::FrameLedger(const RegionTable& now)
    : held_(now.in_state(RegionState::kHeld)),
      holes_(now.in_state(RegionState::kHole)),
      window_(now.in_state(RegionState::kWindow)),
      released_(released_in(now)),
      has_save_area_(!now.in_state(RegionState::kSaveArea).empty()) {}

void FrameLedger::expect(const FrameSet& frames, const FrameSet& durable, const FrameSet& lost) {
  unsaved_ = frames;
  unsaved_.erase(durable);
  lost_ = lost;
  lost_.erase(released_);
}

Result<> FrameLedger::note_durable(const FrameSet& frames, const FrameSet& lost) {
  if (unsaved_.intersection(frames) != frames)
    return fail(ErrorCode::kBadData, "frames became durable that were not to be saved");
  unsaved_.erase(frames);
  lost_.insert(lost);
  // What is more than that is only kept a little longer.
  if (lost_.ranges().size() > kMaxLostRanges) lost_ = with_fewer_ranges(lost_, kMaxLostRanges);
  lost_.erase(released_);
  return {};
}

void FrameLedger::give_up_lost() {
  lost_ = {};
}

void FrameLedger::take_away(FrameSet gone) {
  gone.erase(released_);
  gone.erase(refused_);
  if (gone.empty()) return;
  held_.erase(gone);
  lost_.erase(gone);
  released_.insert(gone);
  taken_.insert(gone);
}

void FrameLedger::look(const RegionTable& now) {
  FrameSet gone = released_in(now);
  if (has_save_area_ && now.in_state(RegionState::kSaveArea).empty()) {
    has_save_area_ = false;
    gone.insert(window_);
  }
  take_away(std::move(gone));
}

void FrameLedger::look_at_nothing() {
  has_save_area_ = false;
  FrameSet gone = held_;
  gone.insert(window_);
  take_away(std::move(gone));
}

bool FrameLedger::is_safe(FrameRange range) const {
  return !unsaved_.overlaps(range) && !lost_.overlaps(range);
}

Result<> FrameLedger::check_release(FrameRange range) const {
  if (!is_safe(range))
    return fail(ErrorCode::kBadData,
                "not released because it is not saved: " + format_range(range));
  if (!held_.overlaps(range) || !to_release(range).contains(range))
    return fail(ErrorCode::kBadData, "not released because it is not held: " + format_range(range));
  return {};
}

void FrameLedger::note_released(FrameRange range) {
  const FrameSet now = held_.intersection(range);
  bytes_released_ += now.bytes();
  held_.erase(now);
  refused_.erase(now);
  released_.insert(now);
}

void FrameLedger::note_refused(FrameRange range) {
  refused_.insert(held_.intersection(range));
}

FrameSet FrameLedger::to_release(FrameRange block) const {
  FrameSet ranges = held_.intersection(block);
  ranges.insert(holes_.intersection(block));
  return ranges;
}

FrameSet FrameLedger::unsafe() const {
  FrameSet frames = unsaved_;
  frames.insert(lost_);
  frames.erase(released_);
  return frames;
}

}  // namespace hadump
