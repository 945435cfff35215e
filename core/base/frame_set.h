// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/base/units.h"

namespace hadump {

/// A set of frames as ascending, disjoint, non-adjacent, non-empty ranges. Its size depends on the
/// number of holes, not of frames, so a terabyte without holes is one entry. A guest decides how
/// many holes there are: an operation on two sets takes time in proportion to their ranges.
///
/// Threads: const functions may be called from several threads; others need exclusion.
class FrameSet {
 public:
  FrameSet() = default;
  FrameSet(std::initializer_list<FrameRange> ranges) {
    for (FrameRange range : ranges) insert(range);
  }

  void insert(FrameRange range);
  void erase(FrameRange range);
  void insert(const FrameSet& other);
  void erase(const FrameSet& other);

  bool empty() const { return ranges_.empty(); }
  std::uint64_t frames() const;
  std::uint64_t bytes() const { return frames() << kFrameShift; }
  bool contains(Gfn gfn) const { return contains(FrameRange{gfn, Gfn{gfn.value + 1}}); }
  /// True when every frame of `range` is in the set; an empty range always is.
  bool contains(FrameRange range) const;
  bool overlaps(FrameRange range) const;
  /// The last frame of `range` that is in the set.
  std::optional<Gfn> last_in(FrameRange range) const;

  /// The part of the set that lies inside `range`.
  FrameSet intersection(FrameRange range) const;
  FrameSet intersection(const FrameSet& other) const;

  /// Valid until the next change of this object.
  std::span<const FrameRange> ranges() const { return ranges_; }

  bool operator==(const FrameSet&) const = default;

 private:
  std::vector<FrameRange> ranges_;
};

}  // namespace hadump
