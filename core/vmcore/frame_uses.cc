// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/frame_uses.h"

#include <algorithm>
#include <bit>

namespace hadump {
namespace {

/// Fewer are not worth tidying up. Page tables come once for each section.
constexpr std::size_t kFewUses = 4096;

FrameRange envelope(FrameRange a, FrameRange b) {
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

FrameUse joined(const FrameUse& a, const FrameUse& b) {
  return {envelope(a.frames, b.frames), envelope(a.used_for, b.used_for)};
}

}  // namespace

std::optional<Gfn> FrameUses::last_use(FrameRange block, const FrameSet& open) const {
  std::optional<Gfn> last;
  for (auto use = std::partition_point(
           uses_.begin(), uses_.end(),
           [&](const FrameUse& before) { return before.frames.end <= block.begin; });
       use != uses_.end() && use->frames.begin < block.end; ++use)
    // Nothing before what was found already is of interest.
    if (!last || *last < use->used_for.end) last = std::max(last, open.last_in(use->used_for));
  return last;
}

void FrameUsesBuilder::add(FrameRange frames, FrameRange used_for) {
  if (frames.empty() || used_for.empty()) return;
  if (uses_.size() >= tidy_at_) {
    tidy();
    tidy_at_ = std::min(std::max(2 * uses_.size(), kFewUses), 2 * most_);
  }
  uses_.push_back({frames, used_for});
}

FrameUses FrameUsesBuilder::build() && {
  tidy();
  FrameUses result;
  result.uses_.assign(uses_.begin(), uses_.end());
  return result;
}

void FrameUsesBuilder::tidy() {
  std::sort(uses_.begin(), uses_.end(),
            [](const FrameUse& a, const FrameUse& b) { return a.frames.begin < b.frames.begin; });
  join_neighbours([](const FrameUse& a, const FrameUse& b) {
    return b.frames.begin < a.frames.end ||
           (b.frames.begin == a.frames.end && a.used_for == b.used_for);
  });
  while (uses_.size() > most_) {
    join_neighbours([this](const FrameUse& a, const FrameUse& b) {
      const FrameUse both = joined(a, b);
      const std::uint64_t most = std::max(both.frames.frames(), both.used_for.frames());
      return static_cast<unsigned>(std::bit_width(most - 1)) <= order_;
    });
    if (uses_.size() > most_) ++order_;
  }
}

template <typename BelongTogether>
void FrameUsesBuilder::join_neighbours(BelongTogether belong_together) {
  std::size_t kept = 0;
  for (std::size_t i = 1; i < uses_.size(); ++i) {
    if (belong_together(uses_[kept], uses_[i]))
      uses_[kept] = joined(uses_[kept], uses_[i]);
    else
      uses_[++kept] = uses_[i];
  }
  if (!uses_.empty()) uses_.resize(kept + 1);
}

}  // namespace hadump
