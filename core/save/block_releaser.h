// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/base/frame_set.h"
#include "core/save/region_releaser.h"
#include "core/save/region_table.h"

namespace hadump {

/// Gives held memory back in whole memory blocks, because less than a block does nobody any good:
/// Linux takes it only when the block is complete.
///
/// It remembers what it released, so no frame goes twice. Whether a frame's bytes are safe is the
/// caller's knowledge: every call asks for it.
class BlockReleaser {
 public:
  using Warn = std::function<void(const std::string&)>;

  /// @param releaser  borrowed.
  /// @param held      frames in state "held" now.
  /// @param holes     frames without memory: they may be in a range that is released.
  /// @param block_bytes  size and alignment of a memory block.
  /// @param warn      told of every refusal; a refused block stays held and is tried again by
  ///                  a later call that covers it.
  BlockReleaser(RegionReleaser& releaser, FrameSet held, FrameSet holes, std::uint64_t block_bytes,
                Warn warn)
      : releaser_(releaser),
        held_(std::move(held)),
        holes_(std::move(holes)),
        block_frames_(block_bytes >> kFrameShift),
        warn_(std::move(warn)) {}

  /// Asked about each whole block: true when all of it is safe elsewhere.
  using MayGo = std::function<bool(FrameRange block)>;

  /// Releases those blocks that overlap `around` and may go.
  void release_around(const FrameSet& around, const MayGo& may_go);
  /// The same for every block that is still held.
  void release_everywhere(const MayGo& may_go) { release_around(FrameSet(held_), may_go); }

  /// Asks once more for what Linux has refused, in this run or an earlier one: blocks that were
  /// asked for as a whole and that nobody has. @pre nothing of `table` is held any more.
  /// @return false when one is refused again; warn() has said so.
  bool retry_refused(const RegionTable& table);

  const FrameSet& held() const { return held_; }
  std::uint64_t released_bytes() const { return released_bytes_; }

 private:
  void release_block(FrameRange block);

  RegionReleaser& releaser_;
  FrameSet held_;
  FrameSet holes_;
  std::uint64_t block_frames_;
  Warn warn_;
  std::uint64_t released_bytes_ = 0;
  bool refused_for_good_ = false;
};

}  // namespace hadump
