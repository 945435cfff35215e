// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/page_offset.h"

#include <array>
#include <cstring>

namespace hadump {
namespace {

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kLarge = 1U << 7;
constexpr std::uint64_t kAddressMask = 0x000ffffffffff000;
constexpr std::uint64_t kCr4FiveLevels = 1U << 12;
// With page-table isolation, user space's top-level table is the page after the kernel's.
constexpr std::uint64_t kIsolationBit = 1U << 12;
constexpr unsigned kEntries = 512;

using Table = std::array<std::uint64_t, kEntries>;

class Walker {
 public:
  Walker(const GuestMemory& memory, const FrameSet& ram) : memory_(memory), ram_(ram) {}

  // The first present entry of a 1 GiB level or above, from `lowest` on, followed down to where
  // it maps physical 0.
  std::optional<GuestVirt> first_mapping(std::uint64_t table, unsigned level, std::uint64_t base,
                                         std::uint64_t lowest) const {
    const auto entries = read(table);
    if (!entries) return {};
    const unsigned shift = 12 + 9 * (level - 1);
    for (unsigned i = 0; i < kEntries; ++i) {
      const std::uint64_t address = canonical(base + (std::uint64_t{i} << shift), level);
      if (address < lowest || !((*entries)[i] & kPresent)) continue;
      const std::uint64_t next = (*entries)[i] & kAddressMask;
      if (level > 3) return first_mapping(next, level - 1, address, lowest);
      if (maps_zero((*entries)[i], 3)) return GuestVirt{address};
      return {};
    }
    return {};
  }

 private:
  std::uint64_t canonical(std::uint64_t address, unsigned level) const {
    if (level == 4 && (address >> 48) == 0 && (address >> 47) == 1)
      return address | 0xffff000000000000;
    if (level == 5 && (address >> 56) == 1) return address | 0xfe00000000000000;
    return address;
  }
  // Follows the first present entries down to a leaf; the direct mapping's first one is of the
  // lowest memory. Linux may leave out the very first frames, never the first 2 MiB.
  bool maps_zero(std::uint64_t entry, unsigned level) const {
    const std::uint64_t target = entry & kAddressMask;
    if (level > 1 && (entry & kLarge)) return (target & ~0x1fffffULL) == 0;
    if (level == 1) return target < 2_MiB;
    const auto entries = read(target);
    if (!entries) return false;
    for (std::uint64_t next : *entries)
      if (next & kPresent) return maps_zero(next, level - 1);
    return false;
  }
  std::optional<Table> read(std::uint64_t address) const {
    Table table;
    if (!ram_.contains(Gfn{address >> kFrameShift})) return {};
    if (!read_guest(memory_, GuestPhys{address}, std::as_writable_bytes(std::span(table))))
      return {};
    return table;
  }

  const GuestMemory& memory_;
  const FrameSet& ram_;
};

}  // namespace

std::optional<GuestVirt> find_page_offset(const GuestMemory& memory, const FrameSet& ram,
                                          std::span<const hadump_vcpu> vcpus) {
  const Walker walker(memory, ram);
  for (const hadump_vcpu& vcpu : vcpus) {
    if (vcpu.cr3 == 0) continue;  // never started: what is in frame 0 is not a table
    const bool five = (vcpu.cr4 & kCr4FiveLevels) != 0;
    const std::uint64_t lowest = five ? 0xff11000000000000 : 0xffff888000000000;
    const std::uint64_t top = vcpu.cr3 & kAddressMask;
    for (std::uint64_t table : {top, top & ~kIsolationBit}) {
      auto found = walker.first_mapping(table, five ? 5 : 4, 0, lowest);
      if (found && is_plausible_page_offset(*found)) return found;
    }
  }
  return {};
}

bool is_plausible_page_offset(GuestVirt address) {
  return (address.value >> 56) == 0xff && is_aligned(address.value, 1_GiB);
}

}  // namespace hadump
