// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/waiting_memory.h"

#include <fmt/format.h>

#include "core/base/text.h"
#include "hv/domain/guest_kind.h"
#include "hv/rescue/elf_core.h"
#include "hv/rescue/saved_dump.h"
#include "hv/rescue/snapshot.h"
#include "hv/rescue/window_plan.h"

namespace hadump {
namespace {

Result<SavedSnapshot> read_waiting(const GuestMemory& memory, const DomainConfig& config,
                                   const DomainRecord& record, const FrameSet& ram,
                                   WaitingMemory& waiting) {
  const SnapshotLimits limits{.vcpus = config.max_vcpus, .blocks = block_table_bytes(ram)};
  auto saved = read_snapshot(memory, record.save_area, /*check_low=*/true, limits);
  if (saved || saved.error().code() != ErrorCode::kBadData) return saved;
  const std::string why = saved.error().what();
  saved = read_snapshot(memory, record.save_area, /*check_low=*/false, limits);
  if (saved) waiting.lacks.emplace_back("low memory as it was", why);
  return saved;
}

void take_away(FrameSurvey& survey, const FrameSet& frames) {
  for (FrameSet* set : {&survey.ram, &survey.broken, &survey.special}) set->erase(frames);
  survey.absent.insert(frames);
}

}  // namespace

Result<WaitingMemory> look_at_waiting_memory(const GuestMemory& memory, const DomainConfig& config,
                                             const DomainRecord& record) {
  auto ram = ram_of(config);
  if (!ram) return fail(std::move(ram));
  if (record.step != Step::kStarted || record.dump_over || record.save_area.empty())
    return fail(ErrorCode::kNotFound, "no dump waits in the domain");
  WaitingMemory waiting;
  auto saved = read_waiting(memory, config, record, *ram, waiting);
  if (!saved) return fail(std::move(saved), "the dump that waits");
  if (auto ours = check_is_ours(record, *ram, *saved); !ours)
    return fail(std::move(ours), "the dump that waits");

  DomainFacts& facts = waiting.facts;
  facts.survey = saved->survey;
  facts.vcpus = saved->cpus.vcpus;
  const auto note = vmcoreinfo_note_of(saved->elf_header);
  facts.vmcoreinfo_note.assign(note.begin(), note.end());
  facts.page_offset = page_offset_of(saved->elf_header);
  for (const BootRegion& region : saved->node.boot_regions)
    facts.moved.push_back({region.range, frame_of(region.copy)});

  std::string complaint;
  FrameSet released = saved->node.released;
  released.insert(released_blocks(*saved, complaint));
  if (!complaint.empty()) waiting.lacks.emplace_back("the block table as it was", complaint);
  const std::uint64_t gone = facts.survey.dumped().intersection(released).bytes();
  if (gone != 0)
    waiting.lacks.emplace_back(
        "released memory",
        fmt::format("the guest had saved and taken back {}, which is in its own dump",
                    format_size(gone)));
  take_away(facts.survey, released);
  // The guest's own reserve is no part of the dump.
  if (record.mode == SaveMode::kRegistered) take_away(facts.survey, {record.save_area});
  return waiting;
}

}  // namespace hadump
