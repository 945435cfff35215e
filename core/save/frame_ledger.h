// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/save/region_table.h"

namespace hadump {

/// What became of every frame of a dump, in one place.
///
/// A frame's content is *unsaved*, *durable* or *lost*: recorded as unreadable, but kept for
/// another attempt as long as nobody gives it up. Its memory is *held* or *released*, by us or by
/// others. The ledger refuses what would break the invariant of docs/architecture.md: a release of
/// content that is neither durable nor given up, or of a frame that is not held.
///
/// Threads: one at a time.
class FrameLedger {
 public:
  /// Nothing is known to have content yet.
  explicit FrameLedger(const RegionTable& now);

  /// What the dump is to hold, and what of it an earlier run has made durable or found unreadable
  /// in the same files. @pre called at most once, before the other functions.
  void expect(const FrameSet& frames, const FrameSet& durable, const FrameSet& lost);
  /// These frames are safe, or recorded as lost.
  /// @return kBadData when one is not expected, or not for the first time.
  Result<> note_durable(const FrameSet& frames, const FrameSet& lost);
  /// Lost frames need not be kept for another attempt.
  void give_up_lost();

  /// Takes over what others have released since the last look.
  void look(const RegionTable& now);
  /// The same when the releaser has nothing left: somebody released everything.
  void look_at_nothing();

  /// True when no frame of the range is unsaved or lost.
  bool is_safe(FrameRange range) const;
  /// To be asked before each release.
  /// @return kBadData when it would break the invariant: something unsaved or lost in `range`, or
  ///         memory that is not held.
  Result<> check_release(FrameRange range) const;
  /// Linux has `range`.
  void note_released(FrameRange range);
  /// Linux would not take it now. It cannot be read any more, and may be asked for again.
  void note_refused(FrameRange range);

  const FrameSet& unsaved() const { return unsaved_; }
  const FrameSet& lost() const { return lost_; }
  const FrameSet& held() const { return held_; }
  /// By anybody, before or since; or asked for, so that it cannot be read.
  const FrameSet& released() const { return released_; }
  /// Held memory of a block, and holes in it: what one release of the block consists of.
  FrameSet to_release(FrameRange block) const;
  /// What of `released` somebody else has released since the ledger was made: it can no longer be
  /// read, and what was read of it since the last look cannot be trusted.
  const FrameSet& taken() const { return taken_; }
  /// What must not be released: unsaved or lost, and not gone anyway.
  FrameSet unsafe() const;
  std::uint64_t bytes_released() const { return bytes_released_; }

 private:
  void take_away(FrameSet gone);

  // The content.
  FrameSet unsaved_;
  FrameSet lost_;
  // The memory.
  FrameSet held_;
  FrameSet holes_;
  FrameSet window_;  ///< Read from the save area, as long as that is there.
  FrameSet released_;
  FrameSet taken_;
  FrameSet refused_;  ///< Of what is held: asked for by us.
  bool has_save_area_ = false;
  std::uint64_t bytes_released_ = 0;  ///< By us.
};

}  // namespace hadump
