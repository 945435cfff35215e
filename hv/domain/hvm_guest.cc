// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/hvm_guest.h"

#include <algorithm>

#include "hv/domain/pvh_guest.h"

namespace hadump {

Result<FrameSet> hvm_ram(std::uint64_t memory_bytes) {
  if (auto same_limits = pvh_ram(memory_bytes); !same_limits) return same_limits;
  FrameSet ram;
  ram.insert(frames_of_bytes(0, std::min(memory_bytes, kHvmLowRamLimit)));
  if (memory_bytes > kHvmLowestRamLimit)
    ram.insert(frames_of_bytes(kHighRamStart, memory_bytes - kHvmLowestRamLimit));
  return ram;
}

}  // namespace hadump
