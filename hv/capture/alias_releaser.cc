// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/alias_releaser.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/format_range.h"

namespace hadump {
namespace {

// Answers of so many frames at a time are held in memory.
constexpr std::uint64_t kLookedAtFrames = 64_MiB >> kFrameShift;

}  // namespace

Result<AliasReleaser> AliasReleaser::look(GuestMemory& memory, const FrameSurvey& survey,
                                          const FrameSet& saved) {
  FrameSet all = survey.dumped();
  all.insert(survey.broken);
  // Special pages are nobody's memory: they go with the domain.
  FrameSet countable = all;
  countable.erase(survey.special);
  FrameSet absent;
  for (FrameRange range : countable.ranges())
    for (Gfn at = range.begin; at < range.end;) {
      const FrameRange piece{at, Gfn{std::min(at.value + kLookedAtFrames, range.end.value)}};
      auto gone = frames_of_kind(memory, piece, FrameKind::kAbsent);
      if (!gone) return fail(std::move(gone), "looking at what the old domain still has");
      absent.insert(*gone);
      at = piece.end;
    }
  AliasReleaser releaser(memory, std::move(all), survey.absent, std::move(absent));
  releaser.released_.insert(releaser.all_.intersection(saved));
  return releaser;
}

Result<RegionTable> AliasReleaser::regions() {
  FrameSet held = all_;
  held.erase(released_);
  std::vector<Region> regions;
  const std::pair<const FrameSet*, RegionState> states[] = {{&held, RegionState::kHeld},
                                                            {&released_, RegionState::kReleased},
                                                            {&holes_, RegionState::kHole}};
  for (const auto& [frames, state] : states)
    for (FrameRange range : frames->ranges()) regions.push_back({range, state});
  std::sort(regions.begin(), regions.end(),
            [](const Region& a, const Region& b) { return a.range.begin < b.range.begin; });
  return RegionTable(std::move(regions));
}

// What has gone before a failure in the middle is known at the next look only; nobody reads it
// until then, since all of it is saved.
Result<> AliasReleaser::release(FrameRange range) {
  const FrameSet asked = all_.intersection(range);
  if (asked.empty() || !asked.intersection(released_).empty())
    return fail(ErrorCode::kBadData, "not held: " + format_range(range));
  for (FrameRange piece : asked.ranges())
    if (auto done = memory_.remove(piece); !done) return fail(ErrorCode::kOs, done.error().what());
  released_.insert(asked);
  gone_.insert(asked);
  told_(gone_.bytes());
  return {};
}

}  // namespace hadump
