// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/frame_survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "hv/domain/parallel.h"

namespace hadump {
namespace {

constexpr std::uint64_t kSurveyFrames = 16384;
// As many holes as a dump node lists, and as many pieces of memory: an ELF core could list a few
// more, but boot regions and the save area cut some in two.
constexpr std::size_t kMaxPieces = HADUMP_MAX_RANGES;
// Absent frames as close as this are mapped together, with what lies between them: a call to the
// hypervisor costs as much as many frames more.
constexpr std::uint64_t kNearFrames = 64;

// What is to be said to an admin whose guest is refused for this.
tl::unexpected<Error> too_many_pieces() {
  return fail(ErrorCode::kUnsupported,
              fmt::format("its balloon has given back so many single pages that its memory is in "
                          "more than {} pieces, which is all that a dump can list. `xl dump-core` "
                          "saves it; a guest whose memory equals its maxmem has no such holes",
                          kMaxPieces));
}

// Sorts frames by kind, whole runs at a time; pieces may come from several threads, in any order.
class Collector {
 public:
  /// @return kUnsupported as soon as there are more runs than a survey can have records. Where a
  ///         piece ends is not the boundary of a run.
  Result<> add(FrameRange piece, const std::vector<FrameKind>& kinds) {
    std::vector<Run> runs;
    for (std::size_t i = 0; i < kinds.size();) {
      std::size_t end = i + 1;
      while (end < kinds.size() && kinds[end] == kinds[i]) ++end;
      runs.push_back({{Gfn{piece.begin.value + i}, Gfn{piece.begin.value + end}}, kinds[i]});
      i = end;
    }
    const std::lock_guard lock(mutex_);
    boundaries_ += runs.size() - 1;
    if (boundaries_ >= kMaxSurveyRecords) return too_many_pieces();
    runs_.insert(runs_.end(), runs.begin(), runs.end());
    return {};
  }

  /// Adds what was collected, each set in ascending order, so that nothing is put into its middle.
  void put_into(FrameSurvey& survey) {
    std::sort(runs_.begin(), runs_.end(),
              [](const Run& a, const Run& b) { return a.frames.begin < b.frames.begin; });
    FrameSurvey found;
    for (const Run& run : runs_) set_of(found, run.kind).insert(run.frames);
    survey.ram.insert(found.ram);
    survey.absent.insert(found.absent);
    survey.broken.insert(found.broken);
  }

 private:
  struct Run {
    FrameRange frames;
    FrameKind kind;
  };
  static FrameSet& set_of(FrameSurvey& survey, FrameKind kind) {
    switch (kind) {
      case FrameKind::kRam:
        return survey.ram;
      case FrameKind::kAbsent:
        return survey.absent;
      case FrameKind::kBroken:
        return survey.broken;
    }
    return survey.broken;
  }
  std::mutex mutex_;  ///< guards what follows
  std::vector<Run> runs_;
  std::size_t boundaries_ = 0;
};

Result<> scan(const GuestMemory& memory, const FrameSet& frames, FrameSurvey& survey) {
  Collector collector;
  auto done = parallel_for_pieces(frames, kSurveyFrames, [&](FrameRange piece) -> Result<> {
    auto kinds = memory.kinds(piece);
    if (!kinds) return fail(std::move(kinds));
    return collector.add(piece, *kinds);
  });
  if (done) collector.put_into(survey);
  return done;
}

// Holes of the dump node, and pieces of memory of the ELF core.
Result<> check_pieces(const FrameSurvey& survey, const FrameSet& held) {
  FrameSet missing = survey.absent;
  missing.insert(survey.broken);
  if (missing.intersection(held).ranges().size() > kMaxPieces ||
      survey.dumped().ranges().size() > kMaxPieces)
    return too_many_pieces();
  return {};
}

// A frame that is not guest memory but can be mapped is one of the hypervisor's own pages, such as
// the shared info page that Linux puts over a page of its RAM.
Result<> find_special(const GuestMemory& memory, FrameSurvey& survey) {
  const FrameSet candidates = std::exchange(survey.absent, {});
  const std::span<const FrameRange> ranges = candidates.ranges();
  for (std::size_t i = 0; i < ranges.size();) {
    FrameRange span = ranges[i];
    std::size_t next = i + 1;
    for (; next < ranges.size() && ranges[next].begin.value - span.end.value <= kNearFrames &&
           ranges[next].end.value - span.begin.value <= kSurveyFrames;
         ++next)
      span.end = ranges[next].end;
    auto mapping = memory.map(span, Access::kRead);
    if (!mapping) return fail(std::move(mapping));
    for (; i < next; ++i)
      for (Gfn gfn = ranges[i].begin; gfn < ranges[i].end; ++gfn.value) {
        const bool there = mapping->present(gfn.value - span.begin.value);
        FrameSet& set = there ? survey.special : survey.absent;
        set.insert({gfn, Gfn{gfn.value + 1}});  // ascending, so always at the end
      }
  }
  return {};
}

// The number of frames says that none is missing, but not where they are.
Result<bool> ends_are_ram(const GuestMemory& memory, const FrameSet& frames) {
  for (FrameRange range : frames.ranges())
    for (const Gfn gfn : {range.begin, Gfn{range.end.value - 1}}) {
      auto kinds = memory.kinds({gfn, Gfn{gfn.value + 1}});
      if (!kinds) return fail(std::move(kinds));
      if (kinds->front() != FrameKind::kRam) return false;
    }
  return true;
}

void append_records(std::vector<hadump_hpte>& out, const FrameSet& set, hadump_hpte_kind kind) {
  for (FrameRange range : set.ranges())
    out.push_back({range.begin.value, range.frames(), static_cast<u32>(kind), 0});
}

}  // namespace

// Side by side, so that each range goes to the end of the result: a guest decides how many ranges
// there are, and putting them into the middle of a large set one by one would take minutes.
FrameSet FrameSurvey::dumped() const {
  FrameSet frames;
  auto next = special.ranges().begin();
  const auto end = special.ranges().end();
  for (FrameRange range : ram.ranges()) {
    for (; next != end && next->begin < range.begin; ++next) frames.insert(*next);
    frames.insert(range);
  }
  for (; next != end; ++next) frames.insert(*next);
  return frames;
}

std::vector<hadump_hpte> FrameSurvey::records() const {
  std::vector<hadump_hpte> out;
  append_records(out, ram, HADUMP_HPTE_RAM);
  append_records(out, absent, HADUMP_HPTE_ABSENT);
  append_records(out, broken, HADUMP_HPTE_BROKEN);
  append_records(out, special, HADUMP_HPTE_SPECIAL);
  std::sort(out.begin(), out.end(),
            [](const hadump_hpte& a, const hadump_hpte& b) { return a.first_gfn < b.first_gfn; });
  return out;
}

Result<FrameSurvey> survey_frames(const GuestMemory& memory, const FrameSet& ram,
                                  const FrameSet& near, const FrameSet& others) {
  FrameSurvey survey;
  FrameSurvey outside;
  if (auto done = scan(memory, near, survey); !done) return fail(std::move(done));
  if (auto done = find_special(memory, survey); !done) return fail(std::move(done));
  if (auto done = scan(memory, others, outside); !done) return fail(std::move(done));
  auto total = memory.total_frames();
  if (!total) return fail(std::move(total));

  FrameSet held = ram;
  held.erase(near);
  auto as_expected = ends_are_ram(memory, held);
  if (!as_expected) return fail(std::move(as_expected));
  if (*as_expected && *total == survey.ram.frames() + outside.ram.frames() + held.frames()) {
    survey.ram.insert(held);
  } else {
    survey.full_scan = true;
    if (auto done = scan(memory, held, survey); !done) return fail(std::move(done));
  }
  if (auto fits = check_pieces(survey, held); !fits) return fail(std::move(fits));
  return survey;
}

Result<FrameSurvey> survey_from_records(std::span<const hadump_hpte> records) {
  FrameSurvey survey;
  std::uint64_t last = 0;
  for (const hadump_hpte& record : records) {
    if (record.frames == 0 || record.first_gfn < last ||
        record.frames > (HADUMP_MAX_ADDRESS >> kFrameShift) ||
        record.first_gfn > (HADUMP_MAX_ADDRESS >> kFrameShift) - record.frames)
      return fail(ErrorCode::kBadData, "a malformed translation record");
    last = record.first_gfn + record.frames;
    const FrameRange range{Gfn{record.first_gfn}, Gfn{last}};
    switch (record.kind) {
      case HADUMP_HPTE_RAM:
        survey.ram.insert(range);
        break;
      case HADUMP_HPTE_ABSENT:
        survey.absent.insert(range);
        break;
      case HADUMP_HPTE_BROKEN:
        survey.broken.insert(range);
        break;
      case HADUMP_HPTE_SPECIAL:
        survey.special.insert(range);
        break;
      default:
        return fail(ErrorCode::kBadData, "a translation record of an unknown kind");
    }
  }
  return survey;
}

}  // namespace hadump
