// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <string>
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

/// What shapes a guest's tables.
struct AcpiShape {
  std::vector<bool> available;  ///< one per vCPU: the MADT lists it as enabled
  bool acpi = true;
  bool apic = true;
};

/// Equal for domains whose tables are equal; fit for a file name however many vCPUs there are.
std::string acpi_tables_key(const AcpiShape& shape);

/// Finds the root pointer and checks the checksum of every table reachable from it.
/// @return where the root pointer is; kBadData when a table is missing or damaged.
Result<GuestPhys> check_acpi_tables(const AcpiTables& tables);

}  // namespace hadump
