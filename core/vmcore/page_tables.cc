// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/page_tables.h"

#include <fmt/format.h>

#include <algorithm>

namespace hadump {
namespace {

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kLarge = 1 << 7;
constexpr unsigned kMaxLeafLevel = 3;  // 1 GiB

// Documentation/arch/x86/x86_64/mm.rst
constexpr std::uint64_t kDirectMap4Level = 0xFFFF888000000000;  // lowest possible start
constexpr std::uint64_t kDirectMap5Level = 0xFF11000000000000;
constexpr std::uint64_t kDirectMapEnd = 0xFFFFFC0000000000;  // above any start

constexpr unsigned level_shift(unsigned level) {
  return kFrameShift + 9 * (level - 1);
}

}  // namespace

PageTableWalker::PageTableWalker(const PageTableReader& reader, const PageTableRoot& root)
    : reader_(reader), root_(root), slots_(std::make_unique<std::array<Slot, kMaxLevels>>()) {}

Result<std::uint64_t> PageTableWalker::entry(Gfn table, unsigned level, std::size_t index) {
  Slot& slot = (*slots_)[level - 1];
  if (slot.gfn != table) {
    slot.gfn.reset();
    if (auto read = reader_.read_table(table, slot.table); !read) return fail(std::move(read));
    slot.gfn = table;
  }
  return slot.table[index];
}

Result<Translation> PageTableWalker::translate(GuestVirt at) {
  path_length_ = 0;
  Gfn table = root_.top;
  for (unsigned level = root_.levels;; --level) {
    path_[path_length_++] = table;
    const unsigned shift = level_shift(level);
    auto value = entry(table, level, (at.value >> shift) % kPageTableEntries);
    if (!value) return fail(std::move(value));
    if ((*value & kPresent) == 0)
      return fail(ErrorCode::kNotFound, fmt::format("{:#x} is not mapped", at.value));
    const std::uint64_t address = *value & root_.address_mask;
    if (level == 1 || ((*value & kLarge) != 0 && level <= kMaxLeafLevel)) {
      const std::uint64_t page_bytes = std::uint64_t{1} << shift;
      const std::uint64_t skip = at.value % page_bytes;
      return Translation{GuestPhys{round_down(address, page_bytes) + skip}, page_bytes - skip};
    }
    table = frame_of(GuestPhys{address});
  }
}

std::optional<FirstMapping> find_direct_map(PageTableWalker& walker, unsigned& steps) {
  std::uint64_t at = walker.levels() == 5 ? kDirectMap5Level : kDirectMap4Level;
  for (unsigned left = std::min(steps, kDirectMapSteps); left > 0 && at < kDirectMapEnd; --left) {
    --steps;
    const auto found = walker.translate(GuestVirt{at});
    if (found && found->phys.value <= at) return FirstMapping{GuestVirt{at}, found->phys};
    // Step over what the lowest table that was reached leaves unmapped.
    const unsigned level = walker.levels() + 1 - static_cast<unsigned>(walker.tables().size());
    const std::uint64_t step = std::uint64_t{1} << level_shift(level);
    at = round_down(at, step) + step;
  }
  return std::nullopt;
}

}  // namespace hadump
