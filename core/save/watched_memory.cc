// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/watched_memory.h"

#include <algorithm>

namespace hadump {

void WatchedVmcore::lose(const FrameSet& frames) {
  const std::unique_lock lock(mutex_);
  lost_.insert(frames);
}

FrameSet WatchedVmcore::lost_in(FrameRange range) const {
  const std::shared_lock lock(mutex_);
  return lost_.intersection(range);
}

Result<> WatchedVmcore::read(Gfn first, std::span<std::byte> out,
                             std::span<FrameStatus> status) const {
  if (auto done = inner_->read(first, out, status); !done) return done;
  const FrameSet lost = lost_in({first, Gfn{first.value + status.size()}});
  for (FrameRange range : lost.ranges())
    for (std::size_t i = range.begin.value - first.value; i < range.end.value - first.value; ++i) {
      std::ranges::fill(out.subspan(i * kFrameSize, kFrameSize), std::byte{0});
      status[i] = FrameStatus::kFailed;
    }
  return {};
}

Result<FrameView> WatchedVmcore::map(FrameRange range) const {
  const FrameSet lost = lost_in(range);
  if (lost.empty()) return inner_->map(range);
  const Gfn first = lost.ranges().front().begin;
  if (first == range.begin) return fail(ErrorCode::kBadData, "this memory was released");
  return inner_->map({range.begin, first});
}

void WatchedFilter::distrust(const FrameSet& frames) {
  const std::unique_lock lock(mutex_);
  distrusted_.insert(frames);
}

Result<> WatchedFilter::classify(FrameRange range, std::vector<PageRun>& runs) const {
  {
    const std::shared_lock lock(mutex_);
    if (distrusted_.overlaps(range))
      return fail(ErrorCode::kBadData, "what tells these pages apart was released");
  }
  return inner_->classify(range, runs);
}

}  // namespace hadump
