// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "core/abi/hadump_abi.h"

namespace hadump {

/// Types as in struct hvm_memmap_table_entry, which are those of E820.
enum class MapType : std::uint32_t {
  kRam = 1,
  kReserved = 2,
  kAcpi = 3,
  kHeld = HADUMP_MEMMAP_HELD,
};

struct MapEntry {
  std::uint64_t address;
  std::uint64_t bytes;
  MapType type;
  bool operator==(const MapEntry&) const = default;
};

}  // namespace hadump
