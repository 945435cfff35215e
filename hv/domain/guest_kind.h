// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"
#include "hv/domain/domain_config.h"
#include "hv/domain/guest_layout.h"

namespace hadump {

/// What follows from a guest's kind and not from its own configuration. A kind is one unit
/// (hv/domain/pvh_guest) and one row of the table in guest_kinds.cc. How vCPU 0 enters its kernel
/// is after Domain::reset_cpus().
struct GuestKind {
  std::string_view name;  ///< as xl.cfg(5) has it in `type`
  /// The RAM of a guest with that much memory. @return kBadData when it is not a whole number of
  /// frames, or nothing; kUnsupported when it is more than HADUMP_MAX_ADDRESS allows.
  /// Where some of it may be in several places, it is a superset.
  Result<FrameSet> (*ram)(std::uint64_t memory_bytes);
  FrameRange acpi;             ///< outside RAM: where the toolstack puts ACPI tables
  FrameRange special;          ///< outside RAM: pages of the hypervisor's interfaces, such as rings
  bool boots_in_place = true;  ///< its kernel can be started again in its old memory
  /// Frames of its own may be anywhere, and count as the domain's: the number of its frames does
  /// not tell whether RAM is missing.
  bool has_device_model = false;
  bool has_dirty_log = true;  ///< Xen can tell what it writes to while it runs (DirtyLog)
  /// Who holds its memory until the domain is destroyed: what would be given back before would not
  /// be free. Empty: nobody does.
  std::string_view keeps_memory{};

  /// Frames that a guest has besides its RAM.
  FrameSet others() const { return {acpi, special}; }
};

/// The RAM of one guest. Errors as GuestKind::ram; kUnsupported for a kind that is not ours.
Result<FrameSet> ram_of(const DomainConfig& config);

/// The memory map of the boot in the window: the toolstack's own, with only `usable` as RAM. `held`
/// (old memory and the save area) becomes MapType::kHeld, because Linux takes memory that no entry
/// covers for its grant tables; docs/design/0001 says why no other type will do.
/// @param acpi  frames of the ACPI tables, inside kind.acpi.
/// Ascending and disjoint. @pre usable and held are disjoint.
std::vector<MapEntry> window_memory_map(const GuestKind& kind, const FrameSet& usable,
                                        const FrameSet& held, FrameRange acpi);

}  // namespace hadump
