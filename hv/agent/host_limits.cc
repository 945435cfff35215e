// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/host_limits.h"

#include <algorithm>

namespace hadump {

bool may_add_save_area(std::span<const DomainRecord* const> records, const std::string& uuid,
                       const HostLimits& limits) {
  if (limits.max_save_areas == 0) return true;
  const auto added = std::count_if(records.begin(), records.end(), [&](const DomainRecord* record) {
    return record->uuid != uuid && record->mode == SaveMode::kAdded && !record->save_area.empty();
  });
  return static_cast<std::uint64_t>(added) < limits.max_save_areas;
}

}  // namespace hadump
