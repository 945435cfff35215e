// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"

namespace hadump {

/// What a range of memory is while a dump waits. Source: docs/abi/sysfs.md, file `regions`.
enum class RegionState {
  kWindow,    ///< RAM of the running kernel since it booted.
  kHeld,      ///< Old memory: nobody uses it, and /proc/vmcore shows it.
  kPartial,   ///< Asked to be released, but its memory block is not complete yet.
  kReleased,  ///< RAM of the running kernel again.
  kHole,      ///< No memory behind it; lies inside a block that is otherwise held.
  kSaveArea,  ///< What booting would have destroyed, and the description of the dump.
};

std::string_view to_string(RegionState state);

struct Region {
  FrameRange range;
  RegionState state = RegionState::kHeld;
  bool operator==(const Region&) const = default;
};

/// The module's list of ranges, ascending and disjoint.
class RegionTable {
 public:
  RegionTable() = default;
  explicit RegionTable(std::vector<Region> regions) : regions_(std::move(regions)) {}

  /// Reads the text of /sys/kernel/hadump/regions.
  /// @return kBadData for anything but lines "0xSTART 0xEND STATE", page-aligned and ascending.
  static Result<RegionTable> parse(std::string_view text);

  std::span<const Region> regions() const { return regions_; }
  FrameSet in_state(RegionState state) const;
  std::uint64_t bytes_in_state(RegionState state) const { return in_state(state).bytes(); }

 private:
  std::vector<Region> regions_;
};

}  // namespace hadump
