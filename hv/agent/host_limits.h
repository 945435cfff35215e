// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/base/units.h"
#include "hv/rescue/record.h"

namespace hadump {

/// What all crashed guests together may take of the host: the section [host].
struct HostLimits {
  std::uint64_t keep_free_bytes = 64_MiB;  ///< of the host's memory, after a save area was added
  unsigned max_save_areas = 0;             ///< added ones, at a time; 0: as many as fit
  std::uint64_t max_save_bytes = 0;        ///< of those and kept domains; 0: as much as fits
};

/// What one more domain may take.
struct SaveRoom {
  bool may_add = true;      ///< false: there are as many save areas as there may be
  std::uint64_t bytes = 0;  ///< the largest that it may add
};
/// @param records     of all domains; only added save areas count, and not that of `uuid`.
/// @param kept_bytes  memory of domains that are kept with their dump: bytes, but no save areas.
SaveRoom room_for_save_area(std::span<const DomainRecord> records, const std::string& uuid,
                            const HostLimits& limits, std::uint64_t kept_bytes = 0);

}  // namespace hadump
