// SPDX-License-Identifier: GPL-2.0-or-later
// A dump that waits moves to a larger save area, so that its guest can be booted in a larger window
// (docs/design/0015-a-larger-window-is-a-new-snapshot.md).
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "core/base/text.h"
#include "hv/domain/page_offset.h"
#include "hv/rescue/crash_run.h"
#include "hv/rescue/elf_core.h"
#include "hv/rescue/saved_dump.h"

namespace hadump {
namespace {

// Where the content of boot regions is now: in the copy of what is a boot region already, else in
// its place. All of them begin and end at whole blocks, but for the ends of RAM, so that the pieces
// of LOW are the same as those of the regions themselves.
std::vector<FrameRange> sources_of(std::span<const FrameRange> regions,
                                   const SavedSnapshot& saved) {
  const std::uint64_t low = address_of(saved.node.save_area.begin).value +
                            saved.header.sections[HADUMP_SECTION_LOW].offset;
  std::vector<FrameRange> sources;
  for (FrameRange region : regions) {
    Gfn at = region.begin;
    Gfn copy = frame_of(GuestPhys{low});
    for (const BootRegion& old : saved.node.boot_regions) {
      const FrameRange both{std::max(at, old.range.begin), std::min(region.end, old.range.end)};
      if (both.begin < both.end) {
        if (at < both.begin) sources.push_back({at, both.begin});
        const Gfn from{copy.value + both.begin.value - old.range.begin.value};
        sources.push_back({from, Gfn{from.value + both.frames()}});
        at = both.end;
      }
      copy.value += old.range.frames();
    }
    if (at < region.end) sources.push_back({at, region.end});
  }
  return sources;
}

// Beside the one that is there. Both are added memory, so the first has left room below it if it
// has grown before.
FrameRange place_beside(FrameRange save_area, const FrameSet& ram, std::uint64_t bytes) {
  const std::uint64_t frames = bytes >> kFrameShift;
  const Gfn lowest = added_save_area_start(ram);
  const bool fits_below = lowest.value + frames <= save_area.begin.value;
  const Gfn begin = fits_below ? lowest : save_area.end;
  return {begin, Gfn{begin.value + frames}};
}

}  // namespace

// What the larger snapshot will say: the same as the one that is there, but for the boot regions.
Result<SnapshotInput> CrashRun::plan_larger(const DomainRecord& record, const FrameSet& ram) const {
  if (record.mode != SaveMode::kAdded)
    return fail(ErrorCode::kUnsupported, "its save area is the guest's own memory");
  auto saved = read_saved(record, ram, /*check_low=*/true);
  if (!saved) return fail(std::move(saved));
  if (auto ours = check_is_ours(record, ram, *saved); !ours) return fail(std::move(ours));
  std::string complaint;
  if (!saved->node.released.empty() || !released_blocks(*saved, complaint).empty())
    return fail(ErrorCode::kUnsupported, "a part of its memory was released already");
  if (!complaint.empty()) world_.warn(complaint);
  if (policy_.larger_window_bytes <= record.window_bytes)
    return fail(ErrorCode::kBadData, fmt::format("a window of {} is no larger one",
                                                 format_size(policy_.larger_window_bytes)));
  auto plan = plan_window(ram, policy_.larger_window_bytes);
  if (!plan) return fail(std::move(plan));
  SnapshotInput input;
  input.dump_id = record.dump_id;
  input.mode = SaveMode::kAdded;
  input.crash_time = saved->node.crash_time;
  input.plan = std::move(*plan);
  input.low_sources = sources_of(input.plan.boot_regions, *saved);
  input.survey = std::move(saved->survey);
  input.cpus = std::move(saved->cpus);
  const auto note = vmcoreinfo_note_of(saved->elf_header);
  input.vmcoreinfo_note.assign(note.begin(), note.end());
  input.page_offset = page_offset_of(saved->elf_header);
  input.boots = record.boots + 1;
  return input;
}

// Written down before it is added, as the first was.
Result<> CrashRun::add_larger_area(DomainRecord& record, FrameRange area, std::uint64_t bytes) {
  const std::uint64_t both = record.save_area.bytes() + bytes;
  if (both > policy_.most_added_bytes)
    return fail(ErrorCode::kNoSpace,
                fmt::format("both save areas take {}, and hadumpd.conf allows {} more for all "
                            "domains (max-save-memory)",
                            format_size(both), format_size(policy_.most_added_bytes)));
  auto status = world_.domain.status();
  if (!status) return fail(std::move(status));
  const std::uint64_t limit_kib = status->max_memory_kib;
  const std::uint64_t wanted_kib = std::max(record.raised_limit_kib, limit_kib) + (bytes >> 10);
  record.other_area = area;
  if (auto done = raise_limit(record, limit_kib, wanted_kib); !done) return done;
  return world_.memory.populate({area}, policy_.keep_free_bytes);
}

// As whoever boots it, now or after we were killed, will look at it.
Result<> CrashRun::check_moved(const DomainRecord& moved, const FrameSet& ram,
                               const AcpiTables& acpi) const {
  auto saved = read_saved(moved, ram, /*check_low=*/true);
  if (!saved) return fail(std::move(saved));
  if (auto ours = check_is_ours(moved, ram, *saved); !ours) return ours;
  if (auto map = window_map_of(*config_.kind, saved->node, acpi); !map) return fail(std::move(map));
  return {};
}

// Until the record names the larger save area, the dump is in the smaller one, to which nothing is
// written. One save of the record is the step from one to the other.
Result<> CrashRun::enlarge(DomainRecord& record, const FrameSet& ram, const AcpiTables& acpi) {
  if (!record.other_area.empty())
    return fail(ErrorCode::kBusy, "memory of an earlier attempt is still there");
  auto input = plan_larger(record, ram);
  if (!input) return fail(std::move(input), "the dump that waits");
  const SaveLayout layout =
      layout_of(ram, input->plan, input->survey, input->cpus, input->vmcoreinfo_note.size());
  input->save_area = place_beside(record.save_area, ram, layout.length);
  times_.lap("plan");
  if (auto added = add_larger_area(record, input->save_area, layout.length); !added)
    return fail(std::move(added),
                fmt::format("adding {} for the larger save area", format_size(layout.length)));
  times_.lap("memory");
  std::vector<FrameMapping> mapped;
  auto written = write_snapshot(
      world_.memory, *input, layout, times_, []() -> Result<> { return {}; }, mapped);
  mapped.clear();  // what is mapped cannot be taken away
  if (!written) return fail(std::move(written), "the larger save area");

  DomainRecord moved = record;
  std::swap(moved.save_area, moved.other_area);
  moved.window.grown_from = record.window_bytes;
  moved.window_bytes = policy_.larger_window_bytes;
  moved.boot_bytes = input->plan.boot_bytes();
  moved.held_bytes = input->plan.held.bytes();
  count_boot(moved);
  if (auto good = check_moved(moved, ram, acpi); !good)
    return fail(std::move(good), "the larger save area");
  if (auto done = reached(moved, Step::kSnapshotComplete, "check"); !done) return done;
  record = std::move(moved);
  if (auto done = drop_other_area(record); !done) world_.warn(done.error().what());
  return {};
}

// Whoever could not be told that a dump has moved may believe that it is in there: so what counts
// is written down again first, and nothing is taken away before that has succeeded.
Result<> CrashRun::drop_other_area(DomainRecord& record) {
  const FrameRange area = record.other_area;
  if (area.empty()) return {};
  const auto step = [&]() -> Result<> {
    if (auto done = world_.records.save(record); !done) return done;
    if (auto done = world_.memory.remove(area); !done) return done;
    const std::uint64_t kib =
        record.raised_limit_kib - std::min(record.raised_limit_kib, area.bytes() >> 10);
    if (auto done = world_.memory.set_limit_kib(kib); !done) return done;
    DomainRecord without = record;
    without.raised_limit_kib = kib;
    without.other_area = {};
    if (auto done = world_.records.save(without); !done) return done;
    record = std::move(without);
    return {};
  };
  if (auto done = step(); !done)
    return fail(std::move(done),
                fmt::format("taking {} of added memory away", format_size(area.bytes())));
  return {};
}

}  // namespace hadump
