// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/crash_run.h"

#include <fmt/format.h>

#include "hv/domain/guest_kind.h"
#include "hv/rescue/finish_dump.h"
#include "hv/rescue/saved_dump.h"

namespace hadump {

Result<> CrashRun::reached(DomainRecord& record, Step step, const char* timing) {
  times_.lap(timing);
  record.step = step;
  record.times = times_.steps();
  return world_.records.save(record);
}

Result<> CrashRun::run(DomainRecord& record) {
  auto ram = ram_of(config_);
  if (!ram) return fail(std::move(ram));
  if (!config_.kind->boots_in_place)
    return fail(
        ErrorCode::kUnsupported,
        fmt::format("a guest of type \"{}\" cannot be booted in place", config_.kind->name));
  record.error.clear();
  // Who has counted the crash has noticed it, perhaps many attempts ago.
  if (!record.crash_counted) record.noticed_ms = world_.wall_ms();
  Result<> done = run_steps(record, *ram);
  if (!done) {
    if (!record.committed) undo(record);
    record.error = done.error().what();
    static_cast<void>(world_.records.save(record));  // the error that matters is `done`
  }
  return done;
}

Result<> CrashRun::run_steps(DomainRecord& record, const FrameSet& ram) {
  auto status = world_.domain.status();
  if (!status) return fail(std::move(status));
  notice_start(record, *status, world_.wall_ms());
  // All that can be wrong with the files is found out before the guest is touched.
  auto files = prepare_files();
  if (!files) return fail(std::move(files));
  times_.lap("files");
  // The save area may be among it, and is read next.
  if (auto done = finish_replaced(record, ram); !done) return done;
  // It is in nobody's way but that of the next larger one.
  if (auto done = drop_other_area(record); !done) world_.warn(done.error().what());
  if (auto done = end_dump_that_is_over(record, ram); !done) return done;
  Fresh fresh;
  if (record.has_snapshot()) {
    if (record.committed && record.save_area.empty())
      return fail(ErrorCode::kBadData, "the record names no save area");
    if (auto done = continue_snapshot(record, ram, files->acpi); !done) return done;
  } else {
    undo(record);  // what an agent before us left half done
    auto taken = take_snapshot(record, ram);
    if (!taken) return fail(std::move(taken));
    fresh = std::move(*taken);
  }
  // From here on the guest's window is not the crashed kernel's any more.
  return boot(record, ram, *files, fresh.low_is_verified);
}

// The guest clears the mark when all of the dump is back, and may crash before it, or we, have told
// each other: such a crash begins a new dump.
Result<> CrashRun::end_dump_that_is_over(DomainRecord& record, const FrameSet& ram) {
  if (record.step != Step::kStarted) return {};
  if (!record.dump_over) {
    auto saved = read_saved(record, ram, /*check_low=*/false);
    if (saved || saved.error().code() != ErrorCode::kNotFound) return {};
  }
  world_.warn("the dump that waited is over; this crash begins a new one");
  auto beyond = finish_dump(world_.domain, world_.memory, world_.store, world_.records, record,
                            world_.wall_ms());
  if (!beyond) return fail(std::move(beyond));
  if (*beyond != 0) world_.warn(memory_kept_text(*beyond));
  return {};
}

Result<SavedSnapshot> CrashRun::read_saved(const DomainRecord& record, const FrameSet& ram,
                                           bool check_low) const {
  const SnapshotLimits limits{.vcpus = config_.max_vcpus, .blocks = block_table_bytes(ram)};
  return read_snapshot(world_.memory, record.save_area, check_low, limits);
}

Result<> CrashRun::plan_second_boot(const DomainRecord& record, const FrameSet& ram,
                                    const AcpiTables& acpi) {
  auto saved = read_saved(record, ram, /*check_low=*/false);
  if (!saved) return fail(std::move(saved), "the dump that waits");
  if (auto ours = check_is_ours(record, ram, *saved); !ours)
    return fail(std::move(ours), "the dump that waits");
  std::string complaint;
  auto rewrite = plan_rewrite(*saved, complaint);
  if (!rewrite) return fail(std::move(rewrite), "the dump that waits");
  if (!complaint.empty()) world_.warn(complaint);
  // What cannot be booted is found out while nothing has been changed.
  auto node = decode_dump_node(rewrite->node);
  if (!node) return fail(std::move(node), "the dump that waits");
  if (auto map = window_map_of(*config_.kind, *node, acpi); !map)
    return fail(std::move(map), "the dump that waits");
  return world_.records.save_rewrite(record, *rewrite);
}

// What is booted is written down with the number of its boot, so that the next agent boots the
// same.
void CrashRun::count_boot(DomainRecord& record) const {
  ++record.boots;
  if (policy_.rescue_boot && record.window.rescue_since == 0)
    record.window.rescue_since = record.boots;
}

// Brings a snapshot that is already there up to date: finishes an interrupted rewrite, or plans the
// next boot of the same dump after a second crash, in a larger window where that is wanted.
Result<> CrashRun::continue_snapshot(DomainRecord& record, const FrameSet& ram,
                                     const AcpiTables& acpi) {
  const bool second_crash = record.step == Step::kStarted;
  if (auto status = world_.domain.status(); !status)
    return fail(std::move(status));
  else if (!status->paused)
    if (auto done = world_.domain.pause(); !done) return fail(std::move(done), "pausing");
  times_.lap("pause");
  if (second_crash) {
    const bool grows = policy_.larger_window_bytes != 0;
    auto planned = grows ? enlarge(record, ram, acpi) : plan_second_boot(record, ram, acpi);
    if (!planned) {
      // Nothing was changed yet: the domain is left as it was found.
      if (auto undone = drop_other_area(record); !undone) world_.warn(undone.error().what());
      if (auto undone = world_.domain.start(); !undone)
        world_.warn(fmt::format("unpausing the domain: {}", undone.error().what()));
      return planned;
    }
    if (grows) return {};
    record.rewrite_pending = true;
    count_boot(record);
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

}  // namespace hadump
