// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "core/base/frame_set.h"

namespace hadump {

/// What a window that hadumpd chooses has at least, whatever was measured, and the default limit.
inline constexpr std::uint64_t kLeastWindow = 256ULL << 20;
inline constexpr std::uint64_t kMostWindow = 1ULL << 30;

/// What is known about the memory that a guest's boot takes. Bytes; 0: not known.
struct BootNeed {
  std::uint64_t memory = 0;    ///< the guest's
  std::uint64_t ramdisk = 0;   ///< the initrd's file
  std::uint64_t measured = 0;  ///< by the guest (HADUMP_XS_BOOT_MEMORY); it may lie
  unsigned vcpus = 1;
  bool reserves_copy = false;  ///< the guest has the save area in its own memory
  bool operator==(const BootNeed&) const = default;
};

struct WindowSize {
  std::uint64_t bytes = kLeastWindow;
  std::string why;  ///< a clause for the log
};

/// The window of a guest whose admin wants it chosen (`window = auto`): what the boot has taken,
/// and a margin, in blocks of memory.
/// @param most  a multiple of HADUMP_BLOCK_SIZE; beyond 3 GiB it makes no difference.
/// @return from kLeastWindow to `most`, and to half of the memory of a guest that reserves the
///         window's copy, so that there is room for that; smaller where the guest has so little
///         memory that nothing else leaves a block to hold, and that is enough for its boot.
///         plan_window() says whether the guest has enough.
WindowSize choose_window(const BootNeed& need, std::uint64_t most);

/// The window after one whose boots have failed: twice as large, or as large as the guest's next
/// window would be, within `most` and what leaves a block to hold.
/// @param window, next, most  multiples of HADUMP_BLOCK_SIZE.
/// @return 0 when there is none that is larger than `window`.
std::uint64_t larger_window(const FrameSet& ram, std::uint64_t window, std::uint64_t next,
                            std::uint64_t most);

}  // namespace hadump
