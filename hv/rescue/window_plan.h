// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"

namespace hadump {

/// Which part of a guest's RAM the next kernel may use, and which part is held for the dump.
struct WindowPlan {
  std::vector<FrameRange> boot_regions;  ///< the window, then the tails, ascending
  FrameSet held;                         ///< whole 128 MiB blocks, but for a registered save area

  std::uint64_t boot_bytes() const;
  FrameSet boot_frames() const;  ///< those of boot_regions
};

/// Splits RAM into boot regions and held blocks (docs/spec/save-area.md, "Boot regions").
/// @param window_bytes  a multiple of HADUMP_BLOCK_SIZE.
/// @return kBadData when the window is not such a multiple, or nothing would be held.
Result<WindowPlan> plan_window(const FrameSet& ram, std::uint64_t window_bytes);

/// Where an added save area goes: above all RAM and outside the hole below 4 GiB.
Gfn added_save_area_start(const FrameSet& ram);

/// How large each section may become; `length` in the header can be smaller.
struct SaveSizes {
  std::uint64_t cpu = 0;
  std::uint64_t hpte = 0;
  std::uint64_t low = 0;
  std::uint64_t elf_header = 0;
  std::uint64_t blocks = 0;
};

/// The byte offsets of the sections inside a save area.
struct SaveLayout {
  std::array<std::uint64_t, HADUMP_NR_SECTIONS> offset{};
  std::array<std::uint64_t, HADUMP_NR_SECTIONS> capacity{};
  std::uint64_t length = 0;  ///< of the whole area, a multiple of HADUMP_SAVE_ALIGN
};

/// NODE always gets HADUMP_MAX_NODE_SIZE, since a second crash rewrites it.
SaveLayout lay_out_save_area(const SaveSizes& sizes);

/// How much a guest that registers a save area must reserve, from what is known before a crash.
std::uint64_t save_area_reserve(const FrameSet& ram, const WindowPlan& plan, unsigned vcpus);

/// Bytes of the BLOCKS section: one per block of guest-physical space up to the end of RAM.
std::uint64_t block_table_bytes(const FrameSet& ram);

}  // namespace hadump
