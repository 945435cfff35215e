// SPDX-License-Identifier: GPL-2.0-or-later
// The second half of a crash run: from a complete snapshot to a running guest.
#include <fmt/format.h>

#include <algorithm>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"
#include "hv/domain/guest_kind.h"
#include "hv/rescue/crash_run.h"
#include "hv/rescue/saved_dump.h"

namespace hadump {
namespace {

// Of pages that other domains have mapped, beyond those that the next kernel begins with: as many
// as a table of Xen's default size can name. Each takes host memory until the other domain lets go.
constexpr std::uint64_t kMaxReplacedFrames = 32768;

// The guest decides their order and number.
FrameSet all_frames(const std::vector<HeldGrants>& held) {
  std::vector<FrameRange> ranges;
  for (const HeldGrants& one : held)
    ranges.insert(ranges.end(), one.frames.ranges().begin(), one.frames.ranges().end());
  std::sort(ranges.begin(), ranges.end(),
            [](const FrameRange& a, const FrameRange& b) { return a.begin < b.begin; });
  FrameSet all;
  for (FrameRange range : ranges) all.insert(range);
  return all;
}

FrameSet first_of(const FrameSet& frames, std::uint64_t most) {
  FrameSet first;
  for (FrameRange range : frames.ranges()) {
    const std::uint64_t taken = std::min(range.frames(), most);
    first.insert({range.begin, Gfn{range.begin.value + taken}});
    most -= taken;
  }
  return first;
}

// Where GuestMemory::replace() has memory meanwhile: beyond all that the domain has.
Gfn spare_for(const DomainRecord& record, const FrameSet& ram) {
  return std::max({added_save_area_start(ram), record.save_area.end, record.other_area.end});
}

// "domain 9 (3 pages, 1 writable), domain 12 (1 page), and 2 more". One line for all: a log that is
// flooded drops the lines of other guests.
std::string holders(const std::vector<HeldGrants>& held) {
  constexpr std::size_t kNamed = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(held.size(), kNamed); ++i)
    text += fmt::format("{}domain {} ({} pages, {} writable)", i == 0 ? "" : ", ", held[i].domid,
                        held[i].frames.frames(), held[i].writable.frames());
  if (held.size() > kNamed) text += fmt::format(", and {} more", held.size() - kNamed);
  return text;
}

}  // namespace

Result<CrashRun::Files> CrashRun::prepare_files() {
  Files files;
  auto kernel_bytes = world_.files.kernel();
  if (!kernel_bytes) return fail(std::move(kernel_bytes), "the kernel");
  auto kernel = parse_kernel(*kernel_bytes);
  if (!kernel) return fail(std::move(kernel), "the kernel");
  files.kernel = std::move(*kernel);
  auto ramdisk = world_.files.ramdisk();
  if (!ramdisk) return fail(std::move(ramdisk), "the initrd");
  files.ramdisk = *ramdisk;
  auto acpi = world_.files.acpi_tables();
  if (!acpi) return fail(std::move(acpi), "the ACPI tables");
  files.acpi = std::move(*acpi);
  auto rsdp = check_acpi_tables(files.acpi);
  if (!rsdp) return fail(std::move(rsdp), "the ACPI tables");
  files.rsdp = *rsdp;
  return files;
}

Result<> CrashRun::boot(DomainRecord& record, const FrameSet& ram, const Files& files,
                        bool low_is_verified) {
  auto boot = plan(record, ram, files, low_is_verified);
  if (!boot) return fail(std::move(boot));
  if (auto done = world_.links.disconnect(policy_.backend_deadline); !done)
    return fail(std::move(done), "disconnecting devices");
  if (auto done = reached(record, Step::kBackendsDisconnected, "disconnect"); !done) return done;

  // From here on nobody but us uses the guest's memory, and there is no way back.
  record.committed = true;
  if (auto done = world_.records.save(record); !done) return done;
  if (auto done = reset_and_load(record, ram, *boot, files); !done) return done;
  if (auto done = reconnect(record); !done) return done;
  return start(record, *boot, files);
}

Result<CrashRun::Boot> CrashRun::plan(const DomainRecord& record, const FrameSet& ram,
                                      const Files& files, bool low_is_verified) {
  auto saved = read_saved(record, ram, !low_is_verified);
  if (!saved) return fail(std::move(saved), "the snapshot");
  if (auto ours = check_is_ours(record, ram, *saved); !ours)
    return fail(std::move(ours), "the snapshot");
  times_.lap("check");
  auto map = window_map_of(*config_.kind, saved->node, files.acpi);
  if (!map) return fail(std::move(map));
  const std::uint64_t node_at =
      address_of(record.save_area.begin).value + saved->header.sections[HADUMP_SECTION_NODE].offset;
  const FrameRange window = saved->node.boot_regions.front().range;
  const WindowShare share{window.bytes(), config_.memory_bytes};
  auto image =
      plan_boot({.window = window,
                 .kernel = files.kernel.extent(),
                 .initrd_bytes = files.ramdisk.size(),
                 .cmdline = window_cmdline(config_.cmdline, share, policy_.cmdline,
                                           saved->node.elf_header.address, GuestPhys{node_at},
                                           record.window.rescue_since != 0),
                 .memory_map = *map,
                 .rsdp = files.rsdp});
  if (!image) return fail(std::move(image), "planning the boot");
  times_.lap("plan");
  return Boot{std::move(*saved), std::move(*map), std::move(*image)};
}

Result<> CrashRun::reset_and_load(DomainRecord& record, const FrameSet& ram, const Boot& boot,
                                  const Files& files) {
  if (auto done = keep_limit(record); !done)
    return fail(std::move(done), "raising its memory limit for the reset");
  if (auto done = world_.domain.reset(boot.map); !done) return fail(std::move(done), "resetting");
  if (auto done = withdraw_grants(record, ram, boot); !done) return done;
  if (auto done = reached(record, Step::kReset, "reset"); !done) return done;

  if (auto done = fill_memory(record, boot.saved); !done)
    return fail(std::move(done), "filling holes in its memory");
  if (auto done = write_guest(world_.memory, address_of(files.acpi.first), files.acpi.bytes); !done)
    return fail(std::move(done), "writing the ACPI tables");
  if (auto done = load_boot_image(world_.memory, boot.image, files.kernel, files.ramdisk); !done)
    return done;
  return reached(record, Step::kLoaded, "load");
}

// Hypervisor and toolstack accept a limit below what the domain has.
Result<> CrashRun::keep_limit(DomainRecord& record) {
  auto status = world_.domain.status();
  if (!status) return fail(std::move(status));
  auto total = world_.memory.total_frames();
  if (!total) return fail(std::move(total));
  constexpr std::uint64_t kForReset = 1;  // frame
  const std::uint64_t wanted_kib =
      std::max(record.raised_limit_kib, (*total + kForReset) << (kFrameShift - 10));
  if (wanted_kib <= status->max_memory_kib) return {};
  return raise_limit(record, status->max_memory_kib, wanted_kib);
}

// What an agent before us was killed over: the content of these frames is in spare ones only.
Result<> CrashRun::finish_replaced(DomainRecord& record, const FrameSet& ram) {
  if (record.replaced.empty()) return {};
  if (auto done = world_.memory.finish_replace(record.replaced, spare_for(record, ram)); !done)
    return fail(std::move(done), "ending the replacement of granted memory");
  record.replaced = {};
  return world_.records.save(record);
}

// The backends have let go by now. Whoever has not is another domain that the crashed kernel had
// granted memory to, and that memory is the next kernel's: it gets other memory there, or does not
// start. What fails is tried again, since the run is committed.
Result<> CrashRun::withdraw_grants(DomainRecord& record, const FrameSet& ram, const Boot& boot) {
  auto held = world_.domain.withdraw_grants();
  if (!held) return fail(std::move(held), "withdrawing its grants");
  FrameSet ours = ram;
  ours.insert(config_.kind->acpi);
  ours.insert(record.save_area);
  const FrameSet frames = all_frames(*held).intersection(ours);
  FrameSet first;  // what the next kernel has, or is booted with
  for (const BootRegion& region : boot.saved.node.boot_regions)
    first.insert(frames.intersection(region.range));
  first.insert(frames.intersection(config_.kind->acpi));
  first.insert(frames.intersection(record.save_area));
  FrameSet rest = frames;
  rest.erase(first);
  const FrameSet others = first_of(rest, kMaxReplacedFrames);
  const std::uint64_t kept = rest.frames() - others.frames();
  if (auto done = replace_held(record, first, others, spare_for(record, ram)); !done)
    return fail(std::move(done),
                fmt::format("giving the guest other memory where its pages are still mapped, by {}",
                            holders(*held)));
  if (frames.empty()) return {};  // or what a guest has made up
  world_.warn(fmt::format(
      "pages that the crashed kernel had granted are still mapped, by {}; the guest has other "
      "memory there now, but devices that are given the same references do not work until all of "
      "that is let go of",
      holders(*held)));
  if (kept != 0)
    world_.warn(
        fmt::format("{} of these pages are more than are replaced ({}): do not trust what "
                    "the guest does until they are let go of",
                    kept, kMaxReplacedFrames));
  return {};
}

// Pages that are mapped elsewhere go on counting as the domain's, so there must be room for them.
Result<> CrashRun::replace_held(DomainRecord& record, const FrameSet& first, const FrameSet& others,
                                Gfn spare) {
  const std::uint64_t frames = first.frames() + others.frames();
  // An earlier attempt may have failed, or was killed, with memory there.
  if (frames == 0)
    return world_.memory.remove({spare, Gfn{spare.value + GuestMemory::kSpareFrames}});
  auto status = world_.domain.status();
  if (!status) return fail(std::move(status));
  auto total = world_.memory.total_frames();
  if (!total) return fail(std::move(total));
  replaced_frames_ = frames;
  const std::uint64_t wanted_kib = (*total + frames) << (kFrameShift - 10);
  if (wanted_kib > status->max_memory_kib)
    if (auto done = raise_limit(record, status->max_memory_kib, wanted_kib); !done) return done;
  const auto note = [&](const FrameSet& replaced) {
    record.replaced = replaced;
    return world_.records.save(record);
  };
  for (const FrameSet* part : {&first, &others})
    if (auto done = world_.memory.replace(*part, spare, policy_.keep_free_bytes, note); !done)
      return done;
  return {};
}

Result<> CrashRun::reconnect(DomainRecord& record) {
  if (auto done = world_.store.clear_guest_keys(); !done) return done;
  if (auto done = world_.store.withdraw_requests(); !done) return done;
  if (auto done = world_.store.publish(HADUMP_XS_AGENT_STATE, "booted"); !done) return done;
  if (auto done = keep_balloon_still(record); !done) return done;
  if (auto done = world_.links.reopen_channels(); !done)
    return fail(std::move(done), "reopening console and xenstore");
  if (auto done = world_.links.reconnect(policy_.backend_deadline); !done)
    return fail(std::move(done), "reconnecting devices");
  return reached(record, Step::kReconnected, "reconnect");
}

Result<> CrashRun::start(DomainRecord& record, const Boot& boot, const Files& files) {
  // The hypervisor believes its own records, so it gets its own: those in the save area are guest
  // memory, which the guest, or a domain that it has granted a registered area to, can have
  // written.
  auto now = world_.domain.cpu_state();
  if (!now) return fail(std::move(now), "reading the vCPUs");
  if (auto done = world_.domain.reset_cpus(now->context, files.kernel.entry, boot.image.start_info);
      !done)
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
// have at most, with what was added to it and what is still mapped elsewhere: a guest that runs
// with its dump may have taken memory elsewhere.
Result<> CrashRun::make_room(DomainRecord& record, std::uint64_t frames) {
  auto status = world_.domain.status();
  if (!status) return fail(std::move(status));
  auto total = world_.memory.total_frames();
  if (!total) return fail(std::move(total));
  const std::uint64_t wanted_kib = (*total + frames) << (kFrameShift - 10);
  if (wanted_kib <= status->max_memory_kib) return {};
  const std::uint64_t added = record.save_area.bytes() + record.other_area.bytes() +
                              config_.kind->others().bytes() + (replaced_frames_ << kFrameShift);
  const std::uint64_t most_kib = (config_.memory_bytes + added) >> 10;
  if (wanted_kib > most_kib)
    return fail(ErrorCode::kBadData,
                fmt::format("with its holes filled it would have {}, more than {}",
                            format_size(wanted_kib << 10), format_size(most_kib << 10)));
  return raise_limit(record, status->max_memory_kib, wanted_kib);
}

// The balloon driver of the small guest takes static-max minus what it booted with as given, so any
// target below static-max would make it balloon its window away.
Result<> CrashRun::keep_balloon_still(DomainRecord& record) {
  const std::uint64_t full_kib = config_.memory_bytes >> 10;
  auto target = world_.store.balloon_target_kib();
  if (!target) return fail(std::move(target), "reading the balloon target");
  if (*target >= full_kib) return {};
  record.old_target_kib = *target;
  record.raised_target_kib = full_kib;
  if (auto done = world_.records.save(record); !done) return done;
  return world_.store.set_balloon_target_kib(full_kib);
}

}  // namespace hadump
