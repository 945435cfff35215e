// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/saved_dump.h"

#include "hv/rescue/boot_image.h"
#include "hv/rescue/window_plan.h"

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

Result<> check_is_ours(const DomainRecord& record, const FrameSet& ram,
                       const SavedSnapshot& saved) {
  auto plan = plan_window(ram, record.window_bytes);
  if (!plan) return fail(std::move(plan));
  std::vector<FrameRange> regions;
  for (const BootRegion& region : saved.node.boot_regions) regions.push_back(region.range);
  FrameSet old = saved.node.held;
  old.insert(saved.node.released);
  FrameSet expected = plan->held;
  if (record.mode == SaveMode::kRegistered) expected.erase(record.save_area);
  if (saved.node.dump_id != record.dump_id || saved.node.mode != record.mode ||
      regions != plan->boot_regions || old != expected ||
      saved.blocks.size() != round_up(block_table_bytes(ram), kFrameSize))
    return fail(ErrorCode::kBadData, "it is not the one that was saved");
  return {};
}

Result<std::vector<MapEntry>> window_map_of(const GuestKind& kind, const DumpNode& node,
                                            const AcpiTables& acpi) {
  const MemoryRoles roles = roles_of(node);
  auto map = window_memory_map(kind, roles.usable, roles.held, acpi.frames());
  if (auto fits = check_memory_map(map); !fits) return fail(std::move(fits));
  return map;
}

}  // namespace hadump
