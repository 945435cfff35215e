// SPDX-License-Identifier: GPL-2.0-or-later
// The second half of a crash run: from a complete snapshot to a running guest.
#include <fmt/format.h>

#include <algorithm>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"
#include "hv/rescue/boot_image.h"
#include "hv/rescue/crash_run.h"
#include "hv/rescue/kernel_image.h"

namespace hadump {
namespace {

// Frames that the next kernel may use as RAM, and those it must leave alone.
struct MemoryRoles {
  FrameSet usable;
  FrameSet held;
};

MemoryRoles roles_of(const DumpNode& node) {
  MemoryRoles roles;
  for (const BootRegion& region : node.boot_regions) roles.usable.insert(region.range);
  roles.usable.insert(node.released);
  roles.held.insert(node.held);
  roles.held.insert(node.save_area);
  return roles;
}

}  // namespace

Result<> CrashRun::prepare_files() {
  auto kernel_bytes = world_.files.kernel();
  if (!kernel_bytes) return fail(std::move(kernel_bytes), "the kernel");
  auto kernel = parse_kernel(*kernel_bytes);
  if (!kernel) return fail(std::move(kernel), "the kernel");
  kernel_ = std::move(*kernel);
  auto ramdisk = world_.files.ramdisk();
  if (!ramdisk) return fail(std::move(ramdisk), "the initrd");
  ramdisk_ = *ramdisk;
  auto acpi = world_.files.acpi_tables();
  if (!acpi) return fail(std::move(acpi), "the ACPI tables");
  acpi_ = std::move(*acpi);
  auto rsdp = check_acpi_tables(acpi_);
  if (!rsdp) return fail(std::move(rsdp), "the ACPI tables");
  rsdp_ = *rsdp;
  return {};
}

Result<std::vector<MapEntry>> CrashRun::memory_map_of(const DumpNode& node) const {
  const MemoryRoles roles = roles_of(node);
  auto map = window_memory_map(roles.usable, roles.held, acpi_.frames());
  if (auto fits = check_memory_map(map); !fits) return fail(std::move(fits));
  return map;
}

Result<> CrashRun::boot(DomainRecord& record) {
  auto saved = read_saved(record, !low_is_verified_);
  if (!saved) return fail(std::move(saved), "the snapshot");
  if (auto ours = check_is_ours(record, *saved); !ours)
    return fail(std::move(ours), "the snapshot");
  times_.lap("check");
  auto map = memory_map_of(saved->node);
  if (!map) return fail(std::move(map));
  const std::uint64_t node_at =
      address_of(record.save_area.begin).value + saved->header.sections[HADUMP_SECTION_NODE].offset;
  auto image = plan_boot({.window = saved->node.boot_regions.front().range,
                          .kernel = kernel_.extent(),
                          .initrd_bytes = ramdisk_.size(),
                          .cmdline = window_cmdline(config_.cmdline, saved->node.elf_header.address,
                                                    GuestPhys{node_at}),
                          .memory_map = *map,
                          .rsdp = rsdp_});
  if (!image) return fail(std::move(image), "planning the boot");
  times_.lap("plan");

  if (auto done = world_.links.disconnect(policy_.backend_deadline); !done)
    return fail(std::move(done), "disconnecting devices");
  if (auto done = reached(record, Step::kBackendsDisconnected, "disconnect"); !done) return done;

  // From here on nobody but us uses the guest's memory, and there is no way back.
  record.committed = true;
  if (auto done = world_.records.save(record); !done) return done;
  if (auto done = world_.domain.reset(*map); !done) return fail(std::move(done), "resetting");
  if (auto done = reached(record, Step::kReset, "reset"); !done) return done;

  if (auto done = fill_memory(record, *saved); !done)
    return fail(std::move(done), "filling holes in its memory");
  if (auto done = write_guest(world_.memory, address_of(acpi_.first), acpi_.bytes); !done)
    return fail(std::move(done), "writing the ACPI tables");
  if (auto done = load_boot_image(world_.memory, *image, kernel_, ramdisk_); !done) return done;
  if (auto done = reached(record, Step::kLoaded, "load"); !done) return done;

  if (auto done = world_.store.clear_guest_keys(); !done) return done;
  if (auto done = world_.store.publish(HADUMP_XS_AGENT_STATE, "booted"); !done) return done;
  if (auto done = keep_balloon_still(record); !done) return done;
  if (auto done = world_.links.reopen_channels(); !done)
    return fail(std::move(done), "reopening console and xenstore");
  if (auto done = world_.links.reconnect(policy_.backend_deadline); !done)
    return fail(std::move(done), "reconnecting devices");
  if (auto done = reached(record, Step::kReconnected, "reconnect"); !done) return done;

  // The hypervisor believes its own records, so it gets its own: those in the save area are guest
  // memory, which the guest, or a domain that it has granted a registered area to, can have
  // written.
  auto now = world_.domain.cpu_state();
  if (!now) return fail(std::move(now), "reading the vCPUs");
  if (auto done = world_.domain.reset_cpus(now->context, kernel_.entry, image->start_info); !done)
    return fail(std::move(done), "setting the vCPUs");
  if (auto done = reached(record, Step::kVcpusSet, "vcpus"); !done) return done;

  if (auto done = world_.domain.start(); !done) return fail(std::move(done), "starting");
  record.started_ms = world_.wall_ms();
  record.crash_counted = false;  // the next crash is another one
  return reached(record, Step::kStarted, "start");
}

// Frames that had been ballooned out must be there where the next kernel sees RAM: in the boot
// regions, and in what it gave back to Linux before this crash. The limit has had room for the boot
// regions' since the snapshot. All is counted before anything is added.
Result<> CrashRun::fill_memory(DomainRecord& record, const SavedSnapshot& saved) {
  std::uint64_t frames = 0;
  auto done = for_each_missing(saved, [&](const FrameSet& missing) -> Result<> {
    frames += missing.frames();
    return {};
  });
  if (!done || frames == 0) return done;
  if (auto room = make_room(record, frames); !room) return room;
  return for_each_missing(saved, [&](const FrameSet& missing) {
    return world_.memory.populate(missing, policy_.keep_free_bytes);
  });
}

// The last kernel's balloon has put its holes anywhere, so what it had is looked at piece by piece.
Result<> CrashRun::for_each_missing(const SavedSnapshot& saved,
                                    const std::function<Result<>(const FrameSet&)>& work) const {
  for (const BootRegion& region : saved.node.boot_regions) {
    const FrameSet absent = saved.survey.absent.intersection(region.range);
    if (absent.empty()) continue;
    // Some may be there already, from a boot that was interrupted or from an earlier crash.
    auto absent_now = frames_of_kind(world_.memory, region.range, FrameKind::kAbsent);
    if (!absent_now) return fail(std::move(absent_now));
    const FrameSet missing = absent_now->intersection(absent);
    if (missing.empty()) continue;
    if (auto done = work(missing); !done) return done;
  }
  constexpr std::uint64_t kPieceFrames = HADUMP_BLOCK_SIZE >> kFrameShift;
  for (FrameRange range : saved.node.released.ranges())
    for (FrameRange piece{range.begin, range.begin}; piece.end < range.end;) {
      piece = {piece.end, Gfn{std::min(piece.end.value + kPieceFrames, range.end.value)}};
      auto missing = frames_of_kind(world_.memory, piece, FrameKind::kAbsent);
      if (!missing) return fail(std::move(missing));
      if (missing->empty()) continue;
      if (auto done = work(*missing); !done) return done;
    }
  return {};
}

// Raises the limit, where it is too low for that many frames more. Never beyond what the domain may
// have at most, with what was added to it: a guest that runs with its dump may have taken memory
// elsewhere.
Result<> CrashRun::make_room(DomainRecord& record, std::uint64_t frames) {
  auto status = world_.domain.status();
  if (!status) return fail(std::move(status));
  auto total = world_.memory.total_frames();
  if (!total) return fail(std::move(total));
  const std::uint64_t wanted_kib = (*total + frames) << (kFrameShift - 10);
  if (wanted_kib <= status->max_memory_kib) return {};
  const std::uint64_t added =
      record.save_area.bytes() + kAcpiFrames.bytes() + kSpecialFrames.bytes();
  const std::uint64_t most_kib = (config_.memory_bytes + added) >> 10;
  if (wanted_kib > most_kib)
    return fail(ErrorCode::kBadData,
                fmt::format("with its holes filled it would have {}, more than {}",
                            format_size(wanted_kib << 10), format_size(most_kib << 10)));
  if (record.raised_limit_kib == 0) record.old_limit_kib = status->max_memory_kib;
  record.raised_limit_kib = wanted_kib;
  if (auto done = world_.records.save(record); !done) return done;
  return world_.memory.set_limit_kib(wanted_kib);
}

// The balloon driver of the small guest takes static-max minus what it booted with as given, so any
// target below static-max would make it balloon its window away.
Result<> CrashRun::keep_balloon_still(DomainRecord& record) {
  const std::uint64_t full_kib = config_.memory_bytes >> 10;
  auto target = world_.store.balloon_target_kib();
  if (!target) return fail(std::move(target), "reading the balloon target");
  if (*target >= full_kib) return {};
  if (record.raised_target_kib == 0) record.old_target_kib = *target;
  record.raised_target_kib = full_kib;
  if (auto done = world_.records.save(record); !done) return done;
  return world_.store.set_balloon_target_kib(full_kib);
}

}  // namespace hadump
