// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"

namespace hadump {

/// Where libxl puts things in a PVH guest. Sources: Xen 4.17 tools/libs/light/libxl_dom.c
/// (libxl__build_hvm: without a device model, low RAM ends at the lowest of the ACPI tables, the
/// local APIC's page and the special pages, which are the tables; the rest starts at 4 GiB),
/// libxl_x86_acpi.c (ACPI_INFO_PHYSICAL_ADDRESS), tools/libs/guest/xg_dom_x86.c
/// (X86_HVM_END_SPECIAL_REGION, X86_HVM_NR_SPECIAL_PAGES).
inline constexpr std::uint64_t kLowRamLimit = 0xfc000000;
inline constexpr std::uint64_t kHighRamStart = 4_GiB;
inline constexpr FrameRange kAcpiFrames{Gfn{0xfc000}, Gfn{0xfc010}};
inline constexpr FrameRange kSpecialFrames{Gfn{0xfeff8}, Gfn{0xff000}};

/// The RAM of a PVH guest with that much memory. kBadData when it is not a whole number of frames,
/// nothing, or more than HADUMP_MAX_ADDRESS allows.
Result<FrameSet> pvh_ram(std::uint64_t memory_bytes);

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

/// The memory map of the boot in the window: libxl's own, with only `usable` as RAM. `held` (old
/// memory and the save area) becomes MapType::kHeld, because Linux takes memory that no entry
/// covers for its grant tables; docs/design/0001 says why no other type will do.
/// @param acpi  frames of the ACPI tables, inside kAcpiFrames.
/// Ascending and disjoint. @pre usable and held are disjoint.
std::vector<MapEntry> window_memory_map(const FrameSet& usable, const FrameSet& held,
                                        FrameRange acpi);

}  // namespace hadump
