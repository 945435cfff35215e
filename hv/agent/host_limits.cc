// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/host_limits.h"

#include <algorithm>
#include <limits>

namespace hadump {

SaveRoom room_for_save_area(std::span<const DomainRecord> records, const std::string& uuid,
                            const HostLimits& limits, std::uint64_t kept_bytes) {
  std::uint64_t count = 0;
  std::uint64_t bytes = kept_bytes;
  for (const DomainRecord& record : records) {
    if (record.uuid == uuid || record.mode != SaveMode::kAdded || record.save_area.empty())
      continue;
    ++count;
    bytes += record.save_area.bytes() + record.other_area.bytes();
  }
  SaveRoom room;
  room.may_add = limits.max_save_areas == 0 || count < limits.max_save_areas;
  room.bytes = limits.max_save_bytes == 0
                   ? std::numeric_limits<std::uint64_t>::max()
                   : limits.max_save_bytes - std::min(bytes, limits.max_save_bytes);
  return room;
}

}  // namespace hadump
