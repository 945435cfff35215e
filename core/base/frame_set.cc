#include "core/base/frame_set.h"

#include <algorithm>

namespace hadump {
namespace {

// First range that ends at or behind `gfn`, so also one that only touches it.
auto first_touching(std::vector<FrameRange>& ranges, Gfn gfn) {
  return std::lower_bound(ranges.begin(), ranges.end(), gfn,
                          [](const FrameRange& range, Gfn at) { return range.end < at; });
}

// First range that ends behind `gfn`.
auto first_behind(const std::vector<FrameRange>& ranges, Gfn gfn) {
  return std::upper_bound(ranges.begin(), ranges.end(), gfn,
                          [](Gfn at, const FrameRange& range) { return at < range.end; });
}

}  // namespace

void FrameSet::insert(FrameRange range) {
  if (range.empty()) return;
  auto first = first_touching(ranges_, range.begin);
  auto last = first;
  for (; last != ranges_.end() && last->begin <= range.end; ++last) {
    range.begin = std::min(range.begin, last->begin);
    range.end = std::max(range.end, last->end);
  }
  ranges_.insert(ranges_.erase(first, last), range);
}

void FrameSet::erase(FrameRange range) {
  if (range.empty()) return;
  std::vector<FrameRange> kept;
  kept.reserve(ranges_.size() + 1);
  for (const FrameRange& old : ranges_) {
    if (!old.overlaps(range)) {
      kept.push_back(old);
      continue;
    }
    if (old.begin < range.begin) kept.push_back({old.begin, range.begin});
    if (range.end < old.end) kept.push_back({range.end, old.end});
  }
  ranges_ = std::move(kept);
}

std::uint64_t FrameSet::frames() const {
  std::uint64_t total = 0;
  for (const FrameRange& range : ranges_) total += range.frames();
  return total;
}

bool FrameSet::contains(FrameRange range) const {
  if (range.empty()) return true;
  const auto found = first_behind(ranges_, range.begin);
  return found != ranges_.end() && found->contains(range);
}

bool FrameSet::overlaps(FrameRange range) const {
  if (range.empty()) return false;
  const auto found = first_behind(ranges_, range.begin);
  return found != ranges_.end() && found->overlaps(range);
}

FrameSet FrameSet::intersection(FrameRange range) const {
  FrameSet common;
  for (auto at = first_behind(ranges_, range.begin); at != ranges_.end() && at->overlaps(range);
       ++at)
    common.ranges_.push_back({std::max(at->begin, range.begin), std::min(at->end, range.end)});
  return common;
}

FrameSet FrameSet::intersection(const FrameSet& other) const {
  FrameSet common;
  for (const FrameRange& range : other.ranges_) common.insert(intersection(range));
  return common;
}

}  // namespace hadump
