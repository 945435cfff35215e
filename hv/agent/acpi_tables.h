#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/units.h"

namespace hadump {

/// The pages of a guest's ACPI tables as the toolstack wrote them. A guest that has run damages
/// its own (Xen's DSDT marks words past the MADT's end), so they come from a twin domain.
struct AcpiTables {
  Gfn first;
  std::vector<std::byte> bytes;  ///< whole frames

  FrameRange frames() const { return {first, Gfn{first.value + (bytes.size() >> kFrameShift)}}; }
};

/// Finds the root pointer and checks the checksum of every table reachable from it.
/// @return where the root pointer is; kBadData when a table is missing or damaged.
Result<GuestPhys> check_acpi_tables(const AcpiTables& tables);

}  // namespace hadump
