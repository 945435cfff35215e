// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/succession.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "core/base/text.h"
#include "hv/domain/guest_kind.h"

namespace hadump {
namespace {

// Each step costs a few calls of the toolstack, and wakes the guest's balloon driver.
constexpr std::uint64_t kGrowthKib = 64 << 10;

struct Present {
  std::optional<DomainStatus> old;
  std::optional<DomainStatus> successor;
};

Result<Present> who_is_there(const CaptureWorld& world, const CaptureRecord& record) {
  auto domains = world.host.domains();
  if (!domains) return fail(std::move(domains));
  Present present;
  for (const DomainStatus& one : *domains) {
    if (one.dying) continue;
    if (one.domid == record.domid && (one.uuid == record.uuid || one.uuid == record.aside_uuid))
      present.old = one;
    else if (one.uuid == record.uuid)
      present.successor = one;
  }
  return present;
}

Result<> set_aside(const CaptureWorld& world, const CaptureRecord& record) {
  if (auto done = world.domain.links().disconnect(world.backend_deadline); !done)
    return fail(std::move(done), "disconnecting the old domain");
  return world.host.set_aside(record.domid, record.aside_uuid);
}

Result<> create(const CaptureWorld& world, CaptureRecord& record, const std::string& blueprint) {
  auto room = successor_room(world, blueprint);
  if (!room) return fail(std::move(room));
  record.begun_kib = record.successor_kib = room->kib;
  record.full_kib = room->full_kib;
  if (auto done = world.note(record); !done) return done;
  if (auto done = world.own_successor(0); !done) return done;
  auto created = world.host.create(blueprint, room->kib);
  if (!created) return fail(std::move(created));
  world.info(fmt::format("domain {} replaces domain {}, with {} of {}", *created, record.domid,
                         format_size(room->kib << 10), format_size(room->full_kib << 10)));
  return world.own_successor(*created);
}

}  // namespace

std::string new_uuid() {
  std::random_device random;
  const auto bits = [&](unsigned and_mask, unsigned or_mask) {
    return (random() & and_mask) | or_mask;
  };
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:04x}{:08x}", random(), bits(0xffff, 0),
                     bits(0x0fff, 0x4000), bits(0x3fff, 0x8000), bits(0xffff, 0), random());
}

Result<HostRoom> successor_room(const CaptureWorld& world, const std::string& blueprint) {
  // A later run has no configuration: then the first one has asked.
  if (world.config.kind != nullptr && !world.config.kind->keeps_memory.empty())
    return fail(ErrorCode::kUnsupported,
                fmt::format("a guest of type \"{}\" has no alias: {} would keep the memory; use "
                            "--mode copy",
                            world.config.kind->name, world.config.kind->keeps_memory));
  auto room = world.host.room_for(blueprint, world.keep_free_bytes);
  if (!room) return room;
  const std::uint64_t needed = std::min(room->full_kib, world.min_successor_bytes >> 10);
  if (room->kib < needed)
    return fail(ErrorCode::kNoSpace,
                fmt::format("the host has room for a successor of {}, but it needs {} at least",
                            format_size(room->kib << 10), format_size(needed << 10)));
  return room;
}

Result<> put_successor(const CaptureWorld& world, CaptureRecord& record,
                       const std::string& blueprint) {
  auto present = who_is_there(world, record);
  if (!present) return fail(std::move(present));
  if (!present->old) return fail(ErrorCode::kNotFound, "the domain is gone");
  if (present->old->uuid != record.aside_uuid)
    if (auto done = set_aside(world, record); !done) return done;
  if (auto& there = present->successor) {
    // One that was being created when hadumpd was killed has never run.
    if (!there->paused || there->shutdown || there->has_run)
      return world.own_successor(there->domid);
    if (auto done = world.host.destroy(there->domid); !done) return done;
  }
  return create(world, record, blueprint);
}

Result<> end_predecessor(const CaptureWorld& world, const CaptureRecord& record) {
  auto present = who_is_there(world, record);
  if (!present) return fail(std::move(present));
  // By its own UUID it would be the successor's twin, which nobody has put aside.
  if (!present->old || present->old->uuid != record.aside_uuid) return {};
  return world.host.destroy(record.domid);
}

void SuccessorMemory::grow_by(std::uint64_t bytes) {
  const std::uint64_t kib = std::min(record_.full_kib, record_.begun_kib + (bytes >> 10));
  if (over_ || record_.successor_kib >= record_.full_kib) return;
  if (kib < record_.successor_kib + kGrowthKib && kib < record_.full_kib) return;
  if (auto done = grow_to(kib); !done) {
    over_ = true;
    world_.warn(fmt::format("the new domain's memory stays {}: {}; use `xl mem-set`",
                            format_size(record_.successor_kib << 10), done.error().what()));
  }
}

void SuccessorMemory::grow_to_full() {
  grow_by(record_.full_kib << 10);
}

Result<> SuccessorMemory::grow_to(std::uint64_t kib) {
  auto present = who_is_there(world_, record_);
  if (!present) return fail(std::move(present));
  if (!present->successor) return {};  // It may be between two boots.
  auto open = world_.host.open(present->successor->domid);
  if (!open) return fail(std::move(open));
  const GuestStore& store = (*open)->store();
  auto target = store.balloon_target_kib();
  if (!target) return fail(std::move(target));
  // An earlier run may have been killed before it noted the size.
  if (set_kib_ ? *target != *set_kib_ : *target < record_.begun_kib) {
    over_ = true;
    world_.info(fmt::format("the new domain's memory was set to {}, and is left at that",
                            format_size(*target << 10)));
    return {};
  }
  if (*target < kib)
    if (auto done = world_.host.set_memory(present->successor->domid, kib); !done) return done;
  auto now = store.balloon_target_kib();
  if (!now) return fail(std::move(now));
  set_kib_ = *now;
  record_.successor_kib = kib;
  return world_.note(record_);
}

}  // namespace hadump
