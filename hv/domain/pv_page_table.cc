// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/pv_page_table.h"

#include <algorithm>

#include "core/vmcore/page_tables.h"

namespace hadump {
namespace {

constexpr std::uint64_t kPresent = 1;
constexpr unsigned kTopLevel = 4;
// [0xffff800000000000, 0xffff880000000000)
constexpr std::size_t kFirstXenSlot = 256;
constexpr std::size_t kXenSlots = 16;

}  // namespace

void to_guest_frames(std::span<std::uint64_t> entries, unsigned level, const GuestFrameOf& frame) {
  if (level == kTopLevel) {
    const auto xens = entries.subspan(kFirstXenSlot, kXenSlots);
    std::fill(xens.begin(), xens.end(), 0);
  }
  for (std::uint64_t& entry : entries) {
    if ((entry & kPresent) == 0) continue;
    const auto gfn = frame((entry & kPageTableAddress) >> kFrameShift);
    entry = gfn ? (entry & ~kPageTableAddress) | address_of(*gfn).value : 0;
  }
}

}  // namespace hadump
