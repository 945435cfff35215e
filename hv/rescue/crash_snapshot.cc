// SPDX-License-Identifier: GPL-2.0-or-later
// The first half of a crash run: a snapshot of the crashed guest, or the way back.
#include <fmt/format.h>

#include "core/base/text.h"
#include "hv/domain/guest_kind.h"
#include "hv/domain/page_offset.h"
#include "hv/domain/vmcoreinfo.h"
#include "hv/rescue/crash_run.h"
#include "hv/rescue/elf_core.h"

namespace hadump {

// Makes the domain what it was before take_snapshot(). Failures are told, since nothing else can be
// done about them here.
void CrashRun::undo(DomainRecord& record) {
  if (record.mode == SaveMode::kAdded && !record.save_area.empty()) {
    if (auto done = world_.memory.remove(record.save_area); !done)
      world_.warn(fmt::format("removing the added memory: {}", done.error().what()));
    else
      record.save_area = {};
  }
  if (record.raised_limit_kib != 0) {
    if (auto done = world_.memory.set_limit_kib(record.old_limit_kib); !done)
      world_.warn(fmt::format("restoring the memory limit: {}", done.error().what()));
    record.raised_limit_kib = record.old_limit_kib = 0;
  }
  if (record.step != Step::kNone) {
    if (auto done = world_.domain.start(); !done)
      world_.warn(fmt::format("unpausing the domain: {}", done.error().what()));
    record.step = Step::kNone;
  }
  static_cast<void>(world_.records.save(record));  // the next save tells, if this one could not
}

// A large window is a wish: with a small one the guest probably boots, without a save area it does
// not.
void CrashRun::fit_window(const FrameSet& ram) {
  const std::uint64_t least = policy_.least_window_bytes;
  if (least == 0 || least >= policy_.window_bytes || policy_.mode != SaveMode::kAdded) return;
  const auto plan = plan_window(ram, policy_.window_bytes);
  const auto free = world_.memory.free_on_host();
  if (!plan || !free) return;  // told by what comes next
  const std::uint64_t needed = save_area_reserve(ram, *plan, config_.max_vcpus);
  const std::uint64_t room =
      std::min(*free - std::min(*free, policy_.keep_free_bytes), policy_.most_added_bytes);
  if (room >= needed) return;
  world_.warn(
      fmt::format("the host has no room for a window of {} ({} may be used, {} needed): {} instead",
                  format_size(policy_.window_bytes), format_size(room), format_size(needed),
                  format_size(least)));
  policy_.window_bytes = least;
}

Result<CrashRun::Findings> CrashRun::inspect(const FrameSet& ram) {
  Findings findings;
  SnapshotInput& input = findings.input;
  auto plan = plan_window(ram, policy_.window_bytes);
  if (!plan) return fail(std::move(plan));
  input.plan = std::move(*plan);
  auto survey = survey_frames(world_.memory, ram, input.plan.boot_frames(), config_.kind->others());
  if (!survey) return fail(std::move(survey), "examining the guest's frames");
  input.survey = std::move(*survey);

  auto keys = world_.store.guest_keys();
  if (!keys) return fail(std::move(keys), "reading the registration");
  const std::uint64_t reserve = save_area_reserve(ram, input.plan, config_.max_vcpus);
  auto registration = check_registration(*keys, ram, input.plan, reserve);
  findings.registered = registration || registration.error().code() != ErrorCode::kNotFound;
  if (registration) {
    findings.registration = *registration;
    if (!input.survey.dumped().contains(findings.registration.save_area)) {
      world_.warn("the registered save area has holes; adding memory instead");
      findings.registration.mode = SaveMode::kAdded;
    }
  } else if (registration.error().code() != ErrorCode::kNotFound) {
    world_.warn(fmt::format("ignoring the guest's registration: {}", registration.error().what()));
  }
  return findings;
}

Result<CrashRun::Fresh> CrashRun::take_snapshot(DomainRecord& record, const FrameSet& ram) {
  record.boots = 0;
  record.committed = false;
  record.window = {};
  if (auto done = world_.domain.pause(); !done) return fail(std::move(done), "pausing");
  if (auto done = reached(record, Step::kPaused, "pause"); !done) return fail(std::move(done));

  auto cpus = world_.domain.cpu_state();
  if (!cpus) return fail(std::move(cpus), "saving the vCPUs");
  if (auto done = reached(record, Step::kVcpusSaved, "cpu"); !done) return fail(std::move(done));

  fit_window(ram);
  auto findings = inspect(ram);
  if (!findings) return fail(std::move(findings));
  record.window.had_module = findings->registered;
  record.window.can_rescue = findings->registration.can_rescue;
  SnapshotInput& input = findings->input;
  input.cpus = std::move(*cpus);
  input.dump_id = world_.new_dump_id();
  input.crash_time = record.noticed_ms / 1000;
  times_.lap("p2m");
  const FrameSet frames = input.survey.dumped();
  auto note = vmcoreinfo_of(frames, findings->registration);
  if (!note) return fail(std::move(note));
  input.vmcoreinfo_note = with_crash_time(std::move(*note), input.crash_time);
  input.page_offset =
      find_page_offset(world_.memory, frames, input.cpus.vcpus)
          .value_or(findings->registration.page_offset.value_or(kDefaultPageOffset));
  times_.lap("vmcoreinfo");

  const SaveLayout layout =
      layout_of(ram, input.plan, input.survey, input.cpus, input.vmcoreinfo_note.size());
  if (auto done = place_save_area(record, ram, *findings, layout); !done)
    return fail(std::move(done));
  record.dump_id = input.dump_id;
  record.crash_time = input.crash_time;
  record.window_bytes = policy_.window_bytes;
  record.boot_bytes = input.plan.boot_bytes();
  record.held_bytes = input.plan.held.bytes();
  record.absent_frames = input.survey.absent.frames();
  record.full_scan = input.survey.full_scan;
  if (auto done = reached(record, Step::kMemoryAdded, "memory"); !done)
    return fail(std::move(done));

  Fresh fresh;
  fresh.low_is_verified = true;
  auto written = write_snapshot(
      world_.memory, input, layout, times_,
      [&]() -> Result<> {
        record.step = Step::kLowCopied;
        return world_.records.save(record);
      },
      fresh.mapped);
  if (!written) return fail(std::move(written));
  record.boots = 1;
  if (auto done = reached(record, Step::kSnapshotComplete, "complete"); !done)
    return fail(std::move(done));
  return fresh;
}

Result<std::vector<std::byte>> CrashRun::vmcoreinfo_of(const FrameSet& frames,
                                                       const Registration& registration) {
  if (registration.vmcoreinfo) {
    auto note = read_vmcoreinfo(world_.memory, frames, registration.vmcoreinfo->address);
    if (note) return note;
    world_.warn(fmt::format("the registered VMCOREINFO: {}; searching", note.error().what()));
  }
  auto found = find_vmcoreinfo(world_.memory, frames);
  if (!found) return fail(std::move(found), "searching for VMCOREINFO");
  if (*found) return read_vmcoreinfo(world_.memory, frames, **found);
  world_.warn(frames.bytes() > kMaxVmcoreinfoSearch
                  ? fmt::format("no VMCOREINFO found in the {} searched; the dump will have none. "
                                "Load hadump.ko in the guest: it registers the address",
                                format_size(kMaxVmcoreinfoSearch))
                  : "the guest has no VMCOREINFO; the dump will have none");
  return std::vector<std::byte>{};
}

Result<> CrashRun::place_save_area(DomainRecord& record, const FrameSet& ram, Findings& findings,
                                   const SaveLayout& layout) {
  SnapshotInput& input = findings.input;
  const bool registers = findings.registration.mode == SaveMode::kRegistered;
  const FrameRange registered = findings.registration.save_area;
  std::uint64_t window_holes = 0;  // fill_memory() will fill them
  for (FrameRange region : input.plan.boot_regions)
    window_holes += input.survey.absent.intersection(region).bytes();
  if (registers && layout.length <= registered.bytes()) {
    record.mode = input.mode = SaveMode::kRegistered;
    record.save_area = input.save_area = registered;
    return make_room_to_save(record, window_holes);
  }
  if (registers)
    world_.warn("the registered save area is too small for this crash; adding memory instead");
  if (!policy_.may_add_save_area)
    return fail(ErrorCode::kNoSpace,
                "as many domains have an added save area as hadumpd.conf allows (max-save-areas)");
  if (layout.length > policy_.most_added_bytes)
    return fail(
        ErrorCode::kNoSpace,
        fmt::format("its save area takes {}, and hadumpd.conf allows {} more for all domains "
                    "(max-save-memory)",
                    format_size(layout.length), format_size(policy_.most_added_bytes)));
  record.mode = input.mode = SaveMode::kAdded;
  const Gfn start = added_save_area_start(ram);
  record.save_area = {start, Gfn{start.value + (layout.length >> kFrameShift)}};
  input.save_area = record.save_area;
  auto done = make_room_to_save(record, record.save_area.bytes() + window_holes);
  if (done) done = world_.memory.populate({record.save_area}, policy_.keep_free_bytes);
  if (!done)
    return fail(std::move(done),
                fmt::format("adding {} for the save area", format_size(layout.length)));
  return {};
}

// Once for a dump, by all that is added for it: a guest that runs with its dump can give such
// memory away and take other memory for it, but never more than this.
Result<> CrashRun::make_room_to_save(DomainRecord& record, std::uint64_t bytes) {
  if (bytes == 0) return {};
  auto status = world_.domain.status();
  if (!status) return fail(std::move(status));
  auto total = world_.memory.total_frames();
  if (!total) return fail(std::move(total));
  // A guest that had not given away yet what "xl mem-set" asked for has more than its limit.
  const std::uint64_t has_kib = std::max(status->max_memory_kib, *total << (kFrameShift - 10));
  return raise_limit(record, status->max_memory_kib, has_kib + (bytes >> 10));
}

// Written down before it is done, so that whoever finds half of it knows what to undo. Whatever the
// limit was that we did not set, by an admin before the crash or since, is what it is to be again.
Result<> CrashRun::raise_limit(DomainRecord& record, std::uint64_t now_kib,
                               std::uint64_t wanted_kib) {
  if (record.raised_limit_kib == 0 || now_kib < record.raised_limit_kib)
    record.old_limit_kib = now_kib;
  record.raised_limit_kib = wanted_kib;
  if (auto done = world_.records.save(record); !done) return done;
  return world_.memory.set_limit_kib(wanted_kib);
}

}  // namespace hadump
