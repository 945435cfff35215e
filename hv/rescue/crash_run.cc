// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/crash_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"
#include "hv/domain/page_offset.h"
#include "hv/domain/vmcoreinfo.h"
#include "hv/rescue/boot_image.h"
#include "hv/rescue/elf_core.h"
#include "hv/rescue/kernel_image.h"

namespace hadump {

Result<> CrashRun::reached(DomainRecord& record, Step step, const char* timing) {
  times_.lap(timing);
  record.step = step;
  record.times = times_.steps();
  return world_.records.save(record);
}

Result<> CrashRun::run(DomainRecord& record) {
  auto ram = pvh_ram(config_.memory_bytes);
  if (!ram) return fail(std::move(ram));
  ram_ = std::move(*ram);
  record.error.clear();
  record.noticed_ms = world_.wall_ms();
  Result<> done = run_steps(record);
  mapped_.clear();
  if (!done) {
    if (!record.committed) undo(record);
    record.error = done.error().what();
    static_cast<void>(world_.records.save(record));  // the error that matters is `done`
  }
  return done;
}

bool notice_start(DomainRecord& record, const DomainStatus& status, std::uint64_t now_ms) {
  // A reset ends a shutdown, and only start() takes the pause back.
  if (record.step != Step::kVcpusSet || status.paused) return false;
  record.step = Step::kStarted;
  record.started_ms = now_ms;
  record.crash_counted = false;
  return true;
}

Result<> CrashRun::run_steps(DomainRecord& record) {
  auto status = world_.domain.status();
  if (!status) return fail(std::move(status));
  notice_start(record, *status, world_.wall_ms());
  // All that can be wrong with the files is found out before the guest is touched.
  if (auto done = prepare_files(); !done) return done;
  times_.lap("files");
  if (auto done = end_dump_that_is_over(record); !done) return done;
  if (record.has_snapshot()) {
    if (record.committed && record.save_area.empty())
      return fail(ErrorCode::kBadData, "the record names no save area");
    if (auto done = continue_snapshot(record); !done) return done;
  } else {
    undo(record);  // what an agent before us left half done
    if (auto done = take_snapshot(record); !done) return done;
  }
  // From here on the guest's window is not the crashed kernel's any more.
  return boot(record);
}

// The guest clears the mark when all of the dump is back, and may crash before it, or we, have told
// each other: such a crash begins a new dump.
Result<> CrashRun::end_dump_that_is_over(DomainRecord& record) {
  if (record.step != Step::kStarted) return {};
  auto saved = read_saved(record, /*check_low=*/false);
  if (saved || saved.error().code() != ErrorCode::kNotFound) return {};
  world_.warn("the dump that waited is over; this crash begins a new one");
  auto beyond = finish_dump(world_.domain, world_.memory, world_.store, world_.records, record,
                            world_.wall_ms());
  if (!beyond) return fail(std::move(beyond));
  if (*beyond != 0) world_.warn(memory_kept_text(*beyond));
  return {};
}

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

Result<SnapshotInput> CrashRun::inspect() {
  SnapshotInput input;
  auto plan = plan_window(ram_, policy_.window_bytes);
  if (!plan) return fail(std::move(plan));
  input.plan = std::move(*plan);
  FrameSet others{kAcpiFrames, kSpecialFrames};
  auto survey = survey_frames(world_.memory, ram_, input.plan.boot_frames(), others);
  if (!survey) return fail(std::move(survey), "examining the guest's frames");
  input.survey = std::move(*survey);

  auto keys = world_.store.guest_keys();
  if (!keys) return fail(std::move(keys), "reading the registration");
  const std::uint64_t reserve = save_area_reserve(ram_, input.plan, config_.max_vcpus);
  auto registration = check_registration(*keys, ram_, input.plan, reserve);
  if (registration) {
    registration_ = *registration;
    if (!input.survey.dumped().contains(registration_.save_area)) {
      world_.warn("the registered save area has holes; adding memory instead");
      registration_.mode = SaveMode::kAdded;
    }
  } else if (registration.error().code() != ErrorCode::kNotFound) {
    world_.warn(fmt::format("ignoring the guest's registration: {}", registration.error().what()));
  }
  return input;
}

Result<> CrashRun::take_snapshot(DomainRecord& record) {
  record.boots = 0;
  record.committed = false;
  if (auto done = world_.domain.pause(); !done) return fail(std::move(done), "pausing");
  if (auto done = reached(record, Step::kPaused, "pause"); !done) return done;

  auto cpus = world_.domain.cpu_state();
  if (!cpus) return fail(std::move(cpus), "saving the vCPUs");
  if (auto done = reached(record, Step::kVcpusSaved, "cpu"); !done) return done;

  auto input = inspect();
  if (!input) return fail(std::move(input));
  input->cpus = std::move(*cpus);
  input->dump_id = world_.new_dump_id();
  input->crash_time = record.noticed_ms / 1000;
  times_.lap("p2m");
  if (auto done = find_vmcoreinfo_for(*input, &registration_); !done) return done;
  times_.lap("vmcoreinfo");

  const SaveLayout layout =
      layout_of(ram_, input->plan, input->survey, input->cpus, input->vmcoreinfo_note.size());
  if (auto done = place_save_area(record, *input, layout, registration_.save_area); !done)
    return done;
  record.dump_id = input->dump_id;
  record.crash_time = input->crash_time;
  record.window_bytes = policy_.window_bytes;
  record.boot_bytes = input->plan.boot_bytes();
  record.held_bytes = input->plan.held.bytes();
  record.absent_frames = input->survey.absent.frames();
  record.full_scan = input->survey.full_scan;
  if (auto done = reached(record, Step::kMemoryAdded, "memory"); !done) return done;

  auto written = write_snapshot(
      world_.memory, *input, layout, times_,
      [&]() -> Result<> {
        record.step = Step::kLowCopied;
        return world_.records.save(record);
      },
      mapped_);
  if (!written) return written;
  record.boots = 1;
  low_is_verified_ = true;
  return reached(record, Step::kSnapshotComplete, "complete");
}

Result<> CrashRun::find_vmcoreinfo_for(SnapshotInput& input, const Registration* registration) {
  const FrameSet frames = input.survey.dumped();
  if (registration->vmcoreinfo) {
    auto note = read_vmcoreinfo(world_.memory, frames, registration->vmcoreinfo->address);
    if (note)
      input.vmcoreinfo_note = std::move(*note);
    else
      world_.warn(fmt::format("the registered VMCOREINFO: {}; searching", note.error().what()));
  }
  if (input.vmcoreinfo_note.empty()) {
    auto found = find_vmcoreinfo(world_.memory, frames);
    if (!found) return fail(std::move(found), "searching for VMCOREINFO");
    if (*found) {
      auto note = read_vmcoreinfo(world_.memory, frames, **found);
      if (!note) return fail(std::move(note));
      input.vmcoreinfo_note = std::move(*note);
    } else {
      world_.warn(frames.bytes() > kMaxVmcoreinfoSearch
                      ? fmt::format("no VMCOREINFO found in the {} searched; the dump will have "
                                    "none. Load hadump.ko in the guest: it registers the address",
                                    format_size(kMaxVmcoreinfoSearch))
                      : "the guest has no VMCOREINFO; the dump will have none");
    }
  }
  input.page_offset = kDefaultPageOffset;
  if (auto walked = find_page_offset(world_.memory, frames, input.cpus.vcpus))
    input.page_offset = *walked;
  else if (registration->page_offset)
    input.page_offset = *registration->page_offset;
  return {};
}

Result<> CrashRun::place_save_area(DomainRecord& record, SnapshotInput& input,
                                   const SaveLayout& layout, FrameRange registered) {
  std::uint64_t window_holes = 0;  // fill_memory() will fill them
  for (FrameRange region : input.plan.boot_regions)
    window_holes += input.survey.absent.intersection(region).bytes();
  if (registration_.mode == SaveMode::kRegistered && layout.length <= registered.bytes()) {
    record.mode = input.mode = SaveMode::kRegistered;
    record.save_area = input.save_area = registered;
    return raise_limit(record, window_holes);
  }
  if (registration_.mode == SaveMode::kRegistered)
    world_.warn("the registered save area is too small for this crash; adding memory instead");
  if (!policy_.may_add_save_area)
    return fail(ErrorCode::kNoSpace,
                "as many domains have an added save area as hadumpd.conf allows (max-save-areas)");
  record.mode = input.mode = SaveMode::kAdded;
  const Gfn start = added_save_area_start(ram_);
  record.save_area = {start, Gfn{start.value + (layout.length >> kFrameShift)}};
  input.save_area = record.save_area;
  auto done = raise_limit(record, record.save_area.bytes() + window_holes);
  if (done) done = world_.memory.populate({record.save_area}, policy_.keep_free_bytes);
  if (!done)
    return fail(std::move(done),
                fmt::format("adding {} for the save area", format_size(layout.length)));
  return {};
}

// Once for a dump, by all that is added for it: a guest that runs with its dump can give such
// memory away and take other memory for it, but never more than this. Written down before it is
// done, so that whoever finds half of it knows what to undo.
Result<> CrashRun::raise_limit(DomainRecord& record, std::uint64_t bytes) {
  if (bytes == 0) return {};
  auto status = world_.domain.status();
  if (!status) return fail(std::move(status));
  record.old_limit_kib = status->max_memory_kib;
  record.raised_limit_kib = record.old_limit_kib + (bytes >> 10);
  if (auto done = world_.records.save(record); !done) return done;
  return world_.memory.set_limit_kib(record.raised_limit_kib);
}

// A guest that has run since can have written anything there, with checksums that fit.
Result<> CrashRun::check_is_ours(const DomainRecord& record, const SavedSnapshot& saved) const {
  auto plan = plan_window(ram_, record.window_bytes);
  if (!plan) return fail(std::move(plan));
  std::vector<FrameRange> regions;
  for (const BootRegion& region : saved.node.boot_regions) regions.push_back(region.range);
  FrameSet old = saved.node.held;
  old.insert(saved.node.released);
  FrameSet expected = plan->held;
  if (record.mode == SaveMode::kRegistered) expected.erase(record.save_area);
  if (saved.node.dump_id != record.dump_id || saved.node.mode != record.mode ||
      regions != plan->boot_regions || old != expected ||
      saved.blocks.size() != round_up(block_table_bytes(ram_), kFrameSize))
    return fail(ErrorCode::kBadData, "it is not the one that was saved");
  return {};
}

Result<SavedSnapshot> CrashRun::read_saved(const DomainRecord& record, bool check_low) const {
  const SnapshotLimits limits{.vcpus = config_.max_vcpus, .blocks = block_table_bytes(ram_)};
  return read_snapshot(world_.memory, record.save_area, check_low, limits);
}

Result<> CrashRun::plan_second_boot(const DomainRecord& record) {
  auto saved = read_saved(record, /*check_low=*/false);
  if (!saved) return fail(std::move(saved), "the dump that waits");
  if (auto ours = check_is_ours(record, *saved); !ours)
    return fail(std::move(ours), "the dump that waits");
  std::string complaint;
  auto rewrite = plan_rewrite(*saved, complaint);
  if (!rewrite) return fail(std::move(rewrite), "the dump that waits");
  if (!complaint.empty()) world_.warn(complaint);
  // What cannot be booted is found out while nothing has been changed.
  auto node = decode_dump_node(rewrite->node);
  if (!node) return fail(std::move(node), "the dump that waits");
  if (auto map = memory_map_of(*node); !map) return fail(std::move(map), "the dump that waits");
  return world_.records.save_rewrite(record, *rewrite);
}

// Brings a snapshot that is already there up to date: finishes an interrupted rewrite, or plans the
// next boot of the same dump after a second crash.
Result<> CrashRun::continue_snapshot(DomainRecord& record) {
  const bool second_crash = record.step == Step::kStarted;
  if (auto status = world_.domain.status(); !status)
    return fail(std::move(status));
  else if (!status->paused)
    if (auto done = world_.domain.pause(); !done) return fail(std::move(done), "pausing");
  times_.lap("pause");
  if (second_crash) {
    auto rewrite = plan_second_boot(record);
    if (!rewrite) {
      // Nothing was changed yet: the domain is left as it was found.
      if (auto undone = world_.domain.start(); !undone)
        world_.warn(fmt::format("unpausing the domain: {}", undone.error().what()));
      return rewrite;
    }
    record.rewrite_pending = true;
    ++record.boots;
    if (auto done = reached(record, Step::kSnapshotComplete, "rewrite"); !done) return done;
  }
  if (record.rewrite_pending) {
    auto rewrite = world_.records.load_rewrite(record);
    if (!rewrite) return fail(std::move(rewrite));
    if (auto done = apply_rewrite(world_.memory, record.save_area, *rewrite); !done) return done;
    record.rewrite_pending = false;
    if (auto done = world_.records.save(record); !done) return done;
  }
  return {};
}

bool dump_is_over(const GuestMemory& memory, const DomainRecord& record,
                  const GuestProgress& progress) {
  if (record.step != Step::kStarted) return false;
  // What an earlier boot wrote there was removed before this one, so a missing id is no doubt.
  const bool ours = progress.dump_id.empty() || progress.dump_id == to_hex(record.dump_id);
  if (progress.state == GuestState::kDone) return ours;
  if (progress.state != GuestState::kRegistered || record.mode != SaveMode::kRegistered)
    return false;
  hadump_save_header header{};
  auto done = read_guest(memory, address_of(record.save_area.begin),
                         std::as_writable_bytes(std::span(&header, 1)));
  return done && header.complete != HADUMP_SNAPSHOT_COMPLETE;
}

std::string memory_kept_text(std::uint64_t kib) {
  return fmt::format("the guest has kept {} of the memory added for its dump",
                     format_size(kib << 10));
}

namespace {

// The hypervisor lets a domain keep what it has when its limit becomes smaller. 0 when it would not
// say: the dump is over all the same.
std::uint64_t kib_beyond_limit(const Domain& domain, const GuestMemory& memory) {
  auto status = domain.status();
  auto frames = memory.total_frames();
  if (!status || !frames) return 0;
  const std::uint64_t kib = *frames << (kFrameShift - 10);
  return kib > status->max_memory_kib ? kib - status->max_memory_kib : 0;
}

}  // namespace

Result<std::uint64_t> finish_dump(Domain& domain, GuestMemory& memory, GuestStore& store,
                                  RecordStore& records, DomainRecord& record,
                                  std::uint64_t now_ms) {
  if (record.mode == SaveMode::kAdded && !record.save_area.empty()) {
    if (auto done = memory.remove(record.save_area); !done)
      return fail(std::move(done), "removing the save area");
  }
  record.save_area = {};
  record.committed = false;
  // In both cases an admin who has set another value in the meantime knows better.
  if (record.raised_limit_kib != 0) {
    auto status = domain.status();
    if (status && status->max_memory_kib == record.raised_limit_kib)
      if (auto done = memory.set_limit_kib(record.old_limit_kib); !done)
        return fail(std::move(done), "restoring the memory limit");
    record.raised_limit_kib = record.old_limit_kib = 0;
  }
  bool gives_back = false;  // What its window had too much; its balloon needs a moment for that.
  if (record.raised_target_kib != 0) {
    auto target = store.balloon_target_kib();
    gives_back = target && *target == record.raised_target_kib;
    if (gives_back)
      if (auto done = store.set_balloon_target_kib(record.old_target_kib); !done)
        return fail(std::move(done), "restoring the balloon target");
    record.raised_target_kib = record.old_target_kib = 0;
  }
  const std::uint64_t beyond = gives_back ? 0 : kib_beyond_limit(domain, memory);
  record.step = Step::kDone;
  record.done_ms = now_ms;
  if (auto done = records.save(record); !done) return fail(std::move(done));
  if (auto done = store.publish(HADUMP_XS_AGENT_STATE, "save-area-returned"); !done)
    return fail(std::move(done));
  return beyond;
}

}  // namespace hadump
