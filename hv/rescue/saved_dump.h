// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "hv/domain/guest_kind.h"
#include "hv/rescue/acpi_tables.h"
#include "hv/rescue/record.h"
#include "hv/rescue/snapshot.h"

namespace hadump {

/// Whether a snapshot is the one that `record` says was taken. A guest that has run since can have
/// written anything there, with checksums that fit. @return kBadData when it is not.
Result<> check_is_ours(const DomainRecord& record, const FrameSet& ram, const SavedSnapshot& saved);

/// The memory map of the boot that a node describes. kUnsupported when the hypervisor could not
/// hold it.
Result<std::vector<MapEntry>> window_map_of(const GuestKind& kind, const DumpNode& node,
                                            const AcpiTables& acpi);

}  // namespace hadump
