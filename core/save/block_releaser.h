// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/base/frame_set.h"
#include "core/save/frame_ledger.h"
#include "core/save/region_releaser.h"
#include "core/save/region_table.h"

namespace hadump {

/// Lets the ledger see what the releaser says now. @return the releaser's errors.
Result<> take_a_look(RegionReleaser& releaser, FrameLedger& ledger);

/// Gives held memory back in whole memory blocks, because less than a block does nobody any good:
/// Linux takes it only when the block is complete.
///
/// It asks the ledger before each release and notes there what came of it, so no frame goes twice,
/// and none that is not saved.
class BlockReleaser {
 public:
  using Warn = std::function<void(const std::string&)>;

  /// @param releaser  borrowed.
  /// @param ledger    borrowed.
  /// @param block_bytes  size and alignment of a memory block.
  /// @param warn      told of every refusal; a refused block stays held and is tried again by
  ///                  a later call that covers it.
  BlockReleaser(RegionReleaser& releaser, FrameLedger& ledger, std::uint64_t block_bytes, Warn warn)
      : releaser_(releaser),
        ledger_(ledger),
        block_frames_(block_bytes >> kFrameShift),
        warn_(std::move(warn)) {}

  /// Asked about each whole block that is safe: false when it has to stay all the same. May be
  /// empty.
  using MayGo = std::function<bool(FrameRange block)>;

  /// Releases those blocks that overlap `around`, are safe, and may go.
  void release_around(const FrameSet& around, const MayGo& may_go = {});
  /// The same for every block that is still held.
  void release_everywhere(const MayGo& may_go = {}) {
    release_around(FrameSet(ledger_.held()), may_go);
  }

  /// Asks once more for what Linux has refused, in this run or an earlier one: blocks that were
  /// asked for as a whole and that nobody has. @pre nothing of `table` is held any more.
  /// @return false when one is refused again; warn() has said so.
  bool retry_refused(const RegionTable& table);

 private:
  void release_block(FrameRange block);
  Result<> release_ranges(FrameRange block);
  bool others_have_released();

  RegionReleaser& releaser_;
  FrameLedger& ledger_;
  std::uint64_t block_frames_;
  Warn warn_;
  bool refused_for_good_ = false;
};

}  // namespace hadump
