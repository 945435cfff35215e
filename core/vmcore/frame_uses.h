// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "core/base/frame_set.h"

namespace hadump {

/// What is remembered of uses: two megabytes. Without a limit, a terabyte whose struct pages lie in
/// single pages anywhere would take 128.
inline constexpr std::size_t kMaxFrameUses = 1U << 16;

/// `frames` are read while anything of `used_for` is still to be looked at.
struct FrameUse {
  FrameRange frames;
  FrameRange used_for;
  bool operator==(const FrameUse&) const = default;
};

/// Which frames are read for the sake of which others, so that those that were read for the last
/// time can go. It may say that a frame is needed when it is not any more, never the reverse.
///
/// Threads: const, may be shared.
class FrameUses {
 public:
  FrameUses() = default;

  /// The last frame of `open` that something in `block` is read for; nullopt when nothing is. The
  /// answer stays the same as long as that frame is open and `open` only becomes smaller.
  std::optional<Gfn> last_use(FrameRange block, const FrameSet& open) const;
  bool needed(FrameRange block, const FrameSet& open) const {
    return last_use(block, open).has_value();
  }

  /// Ascending, disjoint, non-empty.
  std::span<const FrameUse> uses() const { return uses_; }

 private:
  friend class FrameUsesBuilder;
  std::vector<FrameUse> uses_;
};

/// Collects uses in any order. What is used for several ranges counts as used for all between the
/// first and the last of them. Of more than `most` uses, neighbours become one, and so do their
/// purposes: those first that together cover least, by powers of two.
///
/// Memory: at most 2 * most uses.
class FrameUsesBuilder {
 public:
  /// @pre most >= 1.
  explicit FrameUsesBuilder(std::size_t most = kMaxFrameUses) : most_(most) {}

  void add(FrameRange frames, FrameRange used_for);
  FrameUses build() &&;

 private:
  void tidy();
  template <typename BelongTogether>
  void join_neighbours(BelongTogether belong_together);

  std::size_t most_;
  std::size_t tidy_at_ = 0;
  std::vector<FrameUse> uses_;
  unsigned order_ = 0;  ///< Neighbours that cover no more than 2^this frames became one.
};

}  // namespace hadump
