// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

extern "C" {
#include "block_group.h"
#include "moved_holes.h"
#include "region_state.h"
#include "release_policy.h"
}

namespace hadump {

inline constexpr u64 kTestFrame = HADUMP_FRAME_SIZE;
inline constexpr u64 kFramesPerBlock = 16;
inline constexpr u64 kTestBlock = kFramesPerBlock * kTestFrame;

/// The save area of most tests, above all other memory.
inline constexpr hadump_range kSave = {1024 * kTestFrame, 1088 * kTestFrame};

/// Frames [begin, end) as the policy's bytes.
inline hadump_range frames(u64 begin, u64 end) {
  return {begin * kTestFrame, end * kTestFrame};
}

/// A layout with blocks of 16 frames and what memory.c does with it, without a kernel: checks,
/// asks, and "adds" complete blocks with a function that may refuse.
class ReleasedMemory {
 public:
  ReleasedMemory(std::vector<hadump_range> held, std::vector<hadump_range> holes,
                 hadump_range save_area, bool registered)
      : held_(std::move(held)), holes_(std::move(holes)) {
    ours_ = held_;
    ours_.resize(held_.size() + 1);
    layout_.nr_ours = static_cast<u32>(held_.size());
    layout_.nr_held = hadump_merge_ranges(held_.data(), static_cast<u32>(held_.size()));
    layout_.nr_holes = hadump_merge_ranges(holes_.data(), static_cast<u32>(holes_.size()));
    if (registered) layout_.nr_ours = hadump_insert_range(ours_.data(), layout_.nr_ours, save_area);
    layout_.nr_ours = hadump_merge_ranges(ours_.data(), layout_.nr_ours);
    layout_.held = held_.data();
    layout_.ours = ours_.data();
    layout_.holes = holes_.data();
    layout_.save_area = save_area;
    layout_.save_is_ram = registered;
    layout_.block_size = kTestBlock;
    layout_.struct_bytes = kTestFrame;
    blocks_.resize(hadump_count_blocks(&layout_));
    bitmaps_.resize(blocks_.size());
    layout_.blocks = blocks_.data();
    hadump_fill_blocks(&layout_);
  }

  const hadump_layout& layout() const { return layout_; }

  int check(hadump_range r) const {
    return hadump_check_release(&layout_, r.start, r.end - r.start);
  }

  /// As memory.c's release_held(). `add` says whether Linux takes the group of block i.
  int release(
      hadump_range r, const std::function<bool(std::size_t)>& add = [](auto) { return true; }) {
    if (const int rc = check(r); rc != 0) return rc;
    ask(r);
    return give(r, add) ? 0 : -ENOMEM;
  }

  /// As memory.c's release_save_area().
  int release_save_area(const std::function<bool(std::size_t)>& add = [](auto) { return true; }) {
    if (const int rc = check(layout_.save_area); rc != 0) return rc;
    if (!give({0, HADUMP_MAX_ADDRESS}, add)) return -ENOMEM;
    if (layout_.save_is_ram) {
      ask(layout_.save_area);
      if (!give(layout_.save_area, add)) return -ENOMEM;
    }
    layout_.save_released = true;
    return 0;
  }

  /// State of one frame, by walking the runs as the listing in sysfs does.
  hadump_region_state state_of(u64 frame) const {
    u64 end = 0;
    return hadump_state_at(&layout_, frame * kTestFrame, &end);
  }

 private:
  void ask(hadump_range r) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (!hadump_range_overlaps(r, {blocks_[i].start, blocks_[i].end})) continue;
      if (hadump_needs_bitmap(&layout_, &blocks_[i], r)) {
        bitmaps_[i].assign(hadump_bitmap_size(&blocks_[i]) / sizeof(u64), 0);
        blocks_[i].asked = bitmaps_[i].data();
      }
      hadump_ask(&layout_, &blocks_[i], r);
      static_cast<void>(hadump_take_bitmap(&blocks_[i]));
    }
  }

  bool give(hadump_range r, const std::function<bool(std::size_t)>& add) {
    bool all = true;
    for (const bool uncut : {true, false})
      for (hadump_group group = hadump_first_group(&layout_, r); group.first < group.end;
           group = hadump_next_group(&layout_, r, group)) {
        if (hadump_is_uncut(&layout_, group.first) != uncut) continue;
        if (!hadump_group_ready(&layout_, group)) continue;
        const bool taken = add(group.first);
        for (u32 i = group.first; i < group.end; ++i) blocks_[i].given = taken;
        all = all && taken;
      }
    return all;
  }

  std::vector<hadump_range> held_, ours_, holes_;
  std::vector<hadump_block> blocks_;
  std::vector<std::vector<u64>> bitmaps_;
  hadump_layout layout_{};
};

}  // namespace hadump
