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
};

/// Whether one more save area may be added, for the domain `uuid`. Its own does not count.
bool may_add_save_area(std::span<const DomainRecord* const> records, const std::string& uuid,
                       const HostLimits& limits);

}  // namespace hadump
