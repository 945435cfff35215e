// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/pv_guest.h"

#include "hv/domain/pvh_guest.h"

namespace hadump {

Result<FrameSet> pv_ram(std::uint64_t memory_bytes) {
  if (auto same_limits = pvh_ram(memory_bytes); !same_limits) return same_limits;
  return FrameSet{frames_of_bytes(0, memory_bytes + kPvHoles)};
}

}  // namespace hadump
