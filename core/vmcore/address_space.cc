// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/address_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace hadump {
namespace {

// Documentation/arch/x86/x86_64/mm.rst
constexpr std::uint64_t kKernelMap = 0xFFFFFFFF80000000;        // __START_KERNEL_map
constexpr std::uint64_t kDirectMap4Level = 0xFFFF888000000000;  // lowest possible start
constexpr std::uint64_t kDirectMap5Level = 0xFF11000000000000;
constexpr std::uint64_t kDirectMapEnd = 0xFFFFFC0000000000;  // above any start

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kLarge = 1 << 7;
constexpr std::uint64_t kEntryAddress = 0x000FFFFFFFFFF000;

// Looking for the direct map. A few tables are passed on the way to it; tables that lead on
// everywhere and map nothing would otherwise be stepped through page by page, for days.
constexpr unsigned kMaxSteps = 1 << 16;

// struct new_utsname: fields of 65 bytes; the third is the release.
constexpr std::uint64_t kUtsFieldBytes = 65;

constexpr unsigned level_shift(unsigned level) {
  return kFrameShift + 9 * (level - 1);
}

/// @param read  gets the frames that were read.
Result<> check_release(const AddressSpace& space, const Vmcoreinfo& info, FrameSet& read) {
  const auto uts = info.symbol("init_uts_ns");
  const auto wanted = info.text("OSRELEASE");
  if (!uts || !wanted || wanted->empty() || wanted->size() >= kUtsFieldBytes) return {};
  const GuestVirt at{uts->value + info.uts_name_offset() + 2 * kUtsFieldBytes};
  std::array<char, kUtsFieldBytes> release{};
  if (auto r = space.read(at, std::as_writable_bytes(std::span(release))); !r)
    return fail(std::move(r), "reading the kernel's release");
  space.add_frames(at, release.size(), read);
  if (std::string_view(release.data(), strnlen(release.data(), release.size())) != *wanted)
    return fail(ErrorCode::kBadData,
                "the page tables contradict VMCOREINFO; phys_base may be wrong");
  return {};
}

}  // namespace

Result<AddressSpace> AddressSpace::open(const VmcoreSource& source, const Vmcoreinfo& info) {
  auto top = info.symbol("init_top_pgt");
  if (!top) top = info.symbol("swapper_pg_dir");
  const auto phys_base = info.number("phys_base");
  if (!top || !phys_base)
    return fail(ErrorCode::kNotFound,
                "VMCOREINFO names no page tables (SYMBOL(init_top_pgt), "
                "NUMBER(phys_base))");
  const std::uint64_t phys = top->value - kKernelMap + static_cast<std::uint64_t>(*phys_base);
  if (top->value < kKernelMap || phys > kEntryAddress || !is_aligned(phys, kFrameSize))
    return fail(ErrorCode::kBadData,
                fmt::format("page tables at {:#x} with phys_base {:#x}", top->value, *phys_base));
  const bool five = info.number("pgtable_l5_enabled").value_or(0) != 0;
  const auto encryption = static_cast<std::uint64_t>(info.number("sme_mask").value_or(0));
  AddressSpace space(source, GuestPhys{phys}, five ? 5 : 4, kEntryAddress & ~encryption);
  if (auto r = check_release(space, info, space.metadata_); !r) return fail(std::move(r));
  space.page_offset_ = space.find_page_offset();
  return space;
}

std::optional<GuestVirt> AddressSpace::find_page_offset() const {
  for (const LoadSegment& segment : source_->layout().segments)
    if (segment.virt.value != 0 && segment.virt.value < kKernelMap &&
        segment.virt.value >= kDirectMap5Level)
      return GuestVirt{segment.virt.value - segment.phys.value};
  // The direct map is the first thing that is mapped above the LDT remap area, and KASLR moves it
  // by whole top-level steps of 1 GiB (arch/x86/mm/kaslr.c).
  PageTableWalker walker(*this);
  std::uint64_t at = levels_ == 5 ? kDirectMap5Level : kDirectMap4Level;
  for (unsigned steps = 0; steps < kMaxSteps && at < kDirectMapEnd; ++steps) {
    const auto found = walker.translate(GuestVirt{at});
    if (found && found->phys.value <= at) return GuestVirt{at - found->phys.value};
    // Step over what the lowest table that was reached leaves unmapped.
    const unsigned level = levels_ + 1 - static_cast<unsigned>(walker.tables().size());
    const std::uint64_t step = std::uint64_t{1} << level_shift(std::max(level, 1U));
    at = round_down(at, step) + step;
  }
  return std::nullopt;
}

Result<Translation> AddressSpace::translate(GuestVirt at) const {
  return PageTableWalker(*this).translate(at);
}

Result<> AddressSpace::read(GuestVirt at, std::span<std::byte> out) const {
  PageTableWalker walker(*this);
  std::array<std::byte, kFrameSize> page;
  while (!out.empty()) {
    auto found = walker.translate(at);
    if (!found) return fail(std::move(found));
    FrameStatus status{};
    if (auto r = source_->read(frame_of(found->phys), page, {&status, 1}); !r)
      return fail(std::move(r));
    if (status != FrameStatus::kRead)
      return fail(ErrorCode::kBadData, fmt::format("{:#x} (physical {:#x}) is not in the dump",
                                                   at.value, found->phys.value));
    const std::size_t skip = found->phys.value % kFrameSize;
    const std::size_t part = std::min(out.size(), kFrameSize - skip);
    std::memcpy(out.data(), page.data() + skip, part);
    out = out.subspan(part);
    at.value += part;
  }
  return {};
}

void AddressSpace::add_frames(GuestVirt at, std::uint64_t bytes, FrameSet& frames) const {
  PageTableWalker walker(*this);
  const auto add = [&frames](Gfn gfn) {
    if (!frames.contains(gfn)) frames.insert({gfn, Gfn{gfn.value + 1}});
  };
  while (bytes > 0) {
    const auto found = walker.translate(at);
    for (Gfn table : walker.tables()) add(table);  // Those on the way to nothing, too.
    if (found) add(frame_of(found->phys));
    const std::uint64_t step = std::min(bytes, kFrameSize - at.value % kFrameSize);
    at.value += step;
    bytes -= step;
  }
}

PageTableWalker::PageTableWalker(const AddressSpace& space)
    : space_(space), slots_(std::make_unique<std::array<Slot, kMaxLevels>>()) {}

Result<std::uint64_t> PageTableWalker::entry(Gfn table, unsigned level, std::size_t index) {
  Slot& slot = (*slots_)[level - 1];
  if (slot.gfn != table) {
    slot.gfn.reset();
    FrameStatus status{};
    if (auto r = space_.source_->read(table, std::as_writable_bytes(std::span(slot.table)),
                                      {&status, 1});
        !r)
      return fail(std::move(r));
    if (status != FrameStatus::kRead)
      return fail(ErrorCode::kBadData,
                  fmt::format("page table at {:#x} is not in the dump", address_of(table).value));
    slot.gfn = table;
  }
  return slot.table[index];
}

Result<Translation> PageTableWalker::translate(GuestVirt at) {
  path_length_ = 0;
  Gfn table = frame_of(space_.top_);
  for (unsigned level = space_.levels_;; --level) {
    path_[path_length_++] = table;
    const unsigned shift = level_shift(level);
    auto value = entry(table, level, (at.value >> shift) % kEntries);
    if (!value) return fail(std::move(value));
    if ((*value & kPresent) == 0)
      return fail(ErrorCode::kNotFound, fmt::format("{:#x} is not mapped", at.value));
    const std::uint64_t address = *value & space_.address_mask_;
    if (level == 1 || ((*value & kLarge) != 0 && level <= 3)) {
      const std::uint64_t page_bytes = std::uint64_t{1} << shift;
      const std::uint64_t skip = at.value % page_bytes;
      return Translation{GuestPhys{round_down(address, page_bytes) + skip}, page_bytes - skip};
    }
    table = frame_of(GuestPhys{address});
  }
}

}  // namespace hadump
