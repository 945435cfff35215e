// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/pvh_guest.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/abi/hadump_abi.h"

namespace hadump {

Result<FrameSet> pvh_ram(std::uint64_t memory_bytes) {
  if (memory_bytes == 0 || !is_aligned(memory_bytes, kFrameSize))
    return fail(ErrorCode::kBadData,
                fmt::format("{} bytes of memory is not a whole number of frames", memory_bytes));
  if (memory_bytes >= HADUMP_MAX_ADDRESS - kHighRamStart)
    return fail(ErrorCode::kUnsupported,
                fmt::format("{} bytes of memory is more than this version supports", memory_bytes));
  FrameSet ram;
  const std::uint64_t low = std::min(memory_bytes, kLowRamLimit);
  ram.insert(frames_of_bytes(0, low));
  if (memory_bytes > low) ram.insert(frames_of_bytes(kHighRamStart, memory_bytes - low));
  return ram;
}

}  // namespace hadump
