// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/page_offset.h"

#include <span>

#include "core/vmcore/page_tables.h"

namespace hadump {
namespace {

constexpr std::uint64_t kCr4FiveLevels = 1U << 12;
// With page-table isolation, user space's top-level table is the page after the kernel's.
constexpr std::uint64_t kIsolationBit = 1U << 12;
// Linux may leave the very first frames out of the direct map, never the first 2 MiB.
constexpr std::uint64_t kFirstMemory = 2_MiB;
// Of a guest altogether, which may have a thousand vCPUs whose tables lead everywhere. Reading a
// table means mapping it.
constexpr unsigned kMaxTables = 4096;
constexpr unsigned kMaxSteps = 16 * kDirectMapSteps;

/// A guest's tables, as far as they are inside its RAM.
class RamTables : public PageTableReader {
 public:
  RamTables(const GuestMemory& memory, const FrameSet& ram) : memory_(memory), ram_(ram) {}

  Result<> read_table(Gfn table, PageTable& out) const override {
    if (!ram_.contains(table)) return fail(ErrorCode::kBadData, "a page table outside RAM");
    if (read_ == kMaxTables) return fail(ErrorCode::kBadData, "too many page tables");
    ++read_;
    return read_guest(memory_, address_of(table), std::as_writable_bytes(std::span(out)));
  }

 private:
  const GuestMemory& memory_;
  const FrameSet& ram_;
  mutable unsigned read_ = 0;
};

std::optional<GuestVirt> direct_map(const RamTables& tables, const PageTableRoot& root,
                                    unsigned& steps) {
  PageTableWalker walker(tables, root);
  const auto found = find_direct_map(walker, steps);
  if (!found || found->phys.value >= kFirstMemory) return std::nullopt;
  if (!is_plausible_page_offset(found->page_offset())) return std::nullopt;
  return found->page_offset();
}

}  // namespace

std::optional<GuestVirt> find_page_offset(const GuestMemory& memory, const FrameSet& ram,
                                          std::span<const hadump_vcpu> vcpus) {
  const RamTables tables(memory, ram);
  unsigned steps = kMaxSteps;
  for (const hadump_vcpu& vcpu : vcpus) {
    if (vcpu.cr3 == 0) continue;  // never started: what is in frame 0 is not a table
    const unsigned levels = (vcpu.cr4 & kCr4FiveLevels) != 0 ? 5 : 4;
    const std::uint64_t top = vcpu.cr3 & kPageTableAddress;
    for (const std::uint64_t table : {top, top & ~kIsolationBit})
      if (const auto found = direct_map(tables, {frame_of(GuestPhys{table}), levels}, steps))
        return found;
  }
  return {};
}

bool is_plausible_page_offset(GuestVirt address) {
  return (address.value >> 56) == 0xff && is_aligned(address.value, 1_GiB);
}

}  // namespace hadump
