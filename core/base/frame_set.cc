// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/frame_set.h"

#include <algorithm>

namespace hadump {
namespace {

// First range that ends at or after `gfn`, so also one that only touches it.
auto first_touching(std::vector<FrameRange>& ranges, Gfn gfn) {
  return std::lower_bound(ranges.begin(), ranges.end(), gfn,
                          [](const FrameRange& range, Gfn at) { return range.end < at; });
}

// First range that ends after `gfn`.
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

void FrameSet::insert(const FrameSet& other) {
  if (&other == this) return;
  // Merging copies the whole set: too much for a few ranges that come one at a time.
  constexpr std::size_t kFew = 16;
  if (other.ranges_.size() <= kFew) {
    for (const FrameRange& range : other.ranges_) insert(range);
    return;
  }
  std::vector<FrameRange> both(ranges_.size() + other.ranges_.size());
  std::merge(ranges_.begin(), ranges_.end(), other.ranges_.begin(), other.ranges_.end(),
             both.begin(),
             [](const FrameRange& a, const FrameRange& b) { return a.begin < b.begin; });
  ranges_.clear();
  for (const FrameRange& range : both) {
    if (ranges_.empty() || ranges_.back().end < range.begin)
      ranges_.push_back(range);
    else
      ranges_.back().end = std::max(ranges_.back().end, range.end);
  }
}

void FrameSet::erase(FrameRange range) {
  if (range.empty()) return;
  const auto first = ranges_.begin() + (first_behind(ranges_, range.begin) - ranges_.cbegin());
  auto last = first;
  while (last != ranges_.end() && last->begin < range.end) ++last;
  if (first == last) return;
  std::vector<FrameRange> kept;
  if (first->begin < range.begin) kept.push_back({first->begin, range.begin});
  if (range.end < std::prev(last)->end) kept.push_back({range.end, std::prev(last)->end});
  ranges_.insert(ranges_.erase(first, last), kept.begin(), kept.end());
}

void FrameSet::erase(const FrameSet& other) {
  std::vector<FrameRange> kept;
  auto cut = other.ranges_.begin();
  for (FrameRange range : ranges_) {
    while (cut != other.ranges_.end() && cut->end <= range.begin) ++cut;
    for (; cut != other.ranges_.end() && cut->begin < range.end; ++cut) {
      if (range.begin < cut->begin) kept.push_back({range.begin, cut->begin});
      range.begin = cut->end;
      if (cut->end >= range.end) break;  // It may reach into the next range, too.
    }
    if (range.begin < range.end) kept.push_back(range);
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

std::optional<Gfn> FrameSet::last_in(FrameRange range) const {
  if (range.empty()) return std::nullopt;
  const auto behind =
      std::lower_bound(ranges_.begin(), ranges_.end(), range.end,
                       [](const FrameRange& known, Gfn at) { return known.begin < at; });
  if (behind == ranges_.begin()) return std::nullopt;
  const Gfn end = std::min(std::prev(behind)->end, range.end);
  return end > range.begin ? std::optional(Gfn{end.value - 1}) : std::nullopt;
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
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    const FrameRange both{std::max(a->begin, b->begin), std::min(a->end, b->end)};
    if (both.begin < both.end) common.ranges_.push_back(both);
    a->end < b->end ? ++a : ++b;
  }
  return common;
}

}  // namespace hadump
