// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/guest_kind.h"

#include <algorithm>

namespace hadump {

Result<FrameSet> ram_of(const DomainConfig& config) {
  if (config.kind == nullptr)
    return fail(ErrorCode::kUnsupported, "neither a PVH nor an HVM guest");
  return config.kind->ram(config.memory_bytes);
}

std::vector<MapEntry> window_memory_map(const GuestKind& kind, const FrameSet& usable,
                                        const FrameSet& held, FrameRange acpi) {
  std::vector<MapEntry> map;
  const auto add = [&map](FrameRange range, MapType type) {
    map.push_back({address_of(range.begin).value, range.bytes(), type});
  };
  for (FrameRange range : usable.ranges()) add(range, MapType::kRam);
  for (FrameRange range : held.ranges()) add(range, MapType::kHeld);
  if (!acpi.empty()) add(acpi, MapType::kAcpi);
  add(kind.special, MapType::kReserved);
  std::sort(map.begin(), map.end(),
            [](const MapEntry& a, const MapEntry& b) { return a.address < b.address; });
  return map;
}

}  // namespace hadump
