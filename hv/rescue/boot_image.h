// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"
#include "hv/domain/guest_layout.h"
#include "hv/domain/guest_memory.h"
#include "hv/rescue/kernel_image.h"

namespace hadump {

/// The most entries of a memory map that a PVH kernel takes. Linux copies them unchecked into a
/// table of 128 (arch/x86/platform/pvh/enlighten.c, init_pvh_bootparams();
/// E820_MAX_ENTRIES_ZEROPAGE) and adds one of its own while fewer than 127 are in it.
inline constexpr std::size_t kMaxMapEntries = 126;

/// @return kUnsupported when the map has more entries than that.
Result<> check_memory_map(const std::vector<MapEntry>& map);

/// What goes into the window besides the kernel's segments.
struct BootImage {
  GuestPhys start_info;  ///< also where `start_info_bytes` go
  std::vector<std::byte> start_info_bytes;
  GuestPhys initrd;  ///< meaningful when there is one
};

struct BootInput {
  FrameRange window;
  FrameRange kernel;           ///< KernelImage::extent()
  std::uint64_t initrd_bytes;  ///< 0: none
  std::string cmdline;
  std::vector<MapEntry> memory_map;
  GuestPhys rsdp;
};

/// Places initrd and start info at the top of the window and writes the start info
/// (xen/include/public/arch-x86/hvm/start_info.h, version 1).
/// @return kNoSpace when kernel and initrd do not fit into the window; kBadData when the kernel
///         wants to be loaded outside it or the command line is too long; the errors of
///         check_memory_map().
Result<BootImage> plan_boot(const BootInput& input);

/// Puts kernel, initrd and start info into the guest. The guest's old content must be saved.
Result<> load_boot_image(const GuestMemory& memory, const BootImage& image,
                         const KernelImage& kernel, std::span<const std::byte> initrd);

}  // namespace hadump
