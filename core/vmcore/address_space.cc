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
constexpr std::uint64_t kLowestDirectMap = 0xFF11000000000000;  // with 5 levels

// struct new_utsname: fields of 65 bytes; the third is the release.
constexpr std::uint64_t kUtsFieldBytes = 65;

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
  if (top->value < kKernelMap || phys > kPageTableAddress || !is_aligned(phys, kFrameSize))
    return fail(ErrorCode::kBadData,
                fmt::format("page tables at {:#x} with phys_base {:#x}", top->value, *phys_base));
  const bool five = info.number("pgtable_l5_enabled").value_or(0) != 0;
  const auto encryption = static_cast<std::uint64_t>(info.number("sme_mask").value_or(0));
  AddressSpace space(source,
                     {frame_of(GuestPhys{phys}), five ? 5U : 4U, kPageTableAddress & ~encryption});
  if (auto r = check_release(space, info, space.metadata_); !r) return fail(std::move(r));
  space.page_offset_ = space.find_page_offset();
  return space;
}

std::optional<GuestVirt> AddressSpace::find_page_offset() const {
  for (const LoadSegment& segment : source_->layout().segments)
    if (segment.virt.value != 0 && segment.virt.value < kKernelMap &&
        segment.virt.value >= kLowestDirectMap)
      return GuestVirt{segment.virt.value - segment.phys.value};
  PageTableWalker tables = walker();
  unsigned steps = kDirectMapSteps;
  const auto found = find_direct_map(tables, steps);
  if (!found) return std::nullopt;
  return found->page_offset();
}

Result<Translation> AddressSpace::translate(GuestVirt at) const {
  return walker().translate(at);
}

Result<> AddressSpace::read(GuestVirt at, std::span<std::byte> out) const {
  PageTableWalker tables = walker();
  std::array<std::byte, kFrameSize> page;
  while (!out.empty()) {
    auto found = tables.translate(at);
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
  PageTableWalker tables = walker();
  const auto add = [&frames](Gfn gfn) {
    if (!frames.contains(gfn)) frames.insert({gfn, Gfn{gfn.value + 1}});
  };
  while (bytes > 0) {
    const auto found = tables.translate(at);
    for (Gfn table : tables.tables()) add(table);  // Those on the way to nothing, too.
    if (found) add(frame_of(found->phys));
    const std::uint64_t step = std::min(bytes, kFrameSize - at.value % kFrameSize);
    at.value += step;
    bytes -= step;
  }
}

Result<> AddressSpace::read_table(Gfn table, PageTable& out) const {
  FrameStatus status{};
  if (auto r = source_->read(table, std::as_writable_bytes(std::span(out)), {&status, 1}); !r)
    return r;
  if (status != FrameStatus::kRead)
    return fail(ErrorCode::kBadData,
                fmt::format("page table at {:#x} is not in the dump", address_of(table).value));
  return {};
}

}  // namespace hadump
