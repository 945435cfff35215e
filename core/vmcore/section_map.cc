// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/section_map.h"

#include <fmt/format.h>

#include <algorithm>

namespace hadump {
namespace {

// Bits of section_mem_map (include/linux/mmzone.h). What is above the low bits is the address of
// the struct pages minus the section's first frame times their size, always page-aligned.
constexpr std::uint64_t kMarkedPresent = 1;
constexpr std::uint64_t kHasMemMap = 2;
constexpr std::uint64_t kOnline = 4;
constexpr std::uint64_t kUsable = kMarkedPresent | kHasMemMap | kOnline;
constexpr std::uint64_t kMapMask = ~(std::uint64_t{kFrameSize} - 1);

constexpr std::uint64_t kMinSectionShift = 21, kMaxSectionShift = 34;
constexpr std::uint64_t kMaxSectionStructBytes = 256;
constexpr std::uint64_t kKernelHalf = 0xFF00000000000000;

std::uint64_t divide_up(std::uint64_t n, std::uint64_t by) {
  return (n + by - 1) / by;
}

}  // namespace

Result<SectionMap::Places> SectionMap::places_from(const Vmcoreinfo& info,
                                                   std::uint64_t section_shift) {
  const auto table = info.symbol("mem_section");
  const auto bytes = info.size("mem_section");
  const auto offset = info.offset("mem_section.section_mem_map");
  const auto length = info.length("mem_section");
  if (!table || !bytes || !offset || !length)
    return fail(ErrorCode::kNotFound, "VMCOREINFO has no mem_section: not a SPARSEMEM kernel");
  if (*bytes < 8 || *bytes > kMaxSectionStructBytes || *offset > *bytes - 8)
    return fail(ErrorCode::kBadData,
                fmt::format("SIZE(mem_section)={}, section_mem_map at {}", *bytes, *offset));
  const std::int64_t phys_bits = info.number("MAX_PHYSMEM_BITS").value_or(46);
  if (phys_bits <= static_cast<std::int64_t>(section_shift) || phys_bits > 56)
    return fail(ErrorCode::kBadData, fmt::format("MAX_PHYSMEM_BITS={}", phys_bits));
  const std::uint64_t sections = std::uint64_t{1}
                                 << (static_cast<std::uint64_t>(phys_bits) - section_shift);
  const std::uint64_t per_root = kFrameSize / *bytes;
  const bool extreme = *length != sections && *length == divide_up(sections, per_root);
  if (!extreme && *length != sections)
    return fail(ErrorCode::kBadData,
                fmt::format("LENGTH(mem_section)={} for {} sections", *length, sections));
  return Places{*table, *length, *bytes, *offset, extreme ? per_root : 0};
}

Result<SectionMap> SectionMap::load(const AddressSpace& space, const Vmcoreinfo& info,
                                    std::size_t page_struct_bytes, const FrameSet& frames) {
  const auto shift = static_cast<std::uint64_t>(info.number("SECTION_SIZE_BITS").value_or(27));
  if (shift < kMinSectionShift || shift > kMaxSectionShift)
    return fail(ErrorCode::kBadData, fmt::format("SECTION_SIZE_BITS={}", shift));
  auto places = places_from(info, shift);
  if (!places) return fail(std::move(places));
  SectionMap map;
  map.frames_per_section_ = std::uint64_t{1} << (shift - kFrameShift);
  std::size_t found = map.load_sections(space, *places, page_struct_bytes, frames);
  if (found == 0) {
    // Before v4.16 (a0b1280368d1 "kdump: write correct address of mem_section into vmcoreinfo")
    // the symbol was that of the pointer.
    const auto pointed = space.read_value<std::uint64_t>(places->table);
    if (pointed) {
      map.metadata_ = {};
      space.add_frames(places->table, sizeof(std::uint64_t), map.metadata_);
      places->table = GuestVirt{*pointed};
      found = map.load_sections(space, *places, page_struct_bytes, frames);
    }
  }
  if (found == 0) return fail(ErrorCode::kBadData, "no memory section with struct pages found");
  return map;
}

std::size_t SectionMap::load_sections(const AddressSpace& space, const Places& places,
                                      std::size_t page_struct_bytes, const FrameSet& frames) {
  std::size_t found = 0;
  std::uint64_t next = 0;
  page_structs_.clear();
  for (FrameRange range : frames.ranges()) {
    const std::uint64_t last = std::min(section_of(Gfn{range.end.value - 1}), kMaxSections - 1);
    for (std::uint64_t section = std::max(next, section_of(range.begin)); section <= last;
         ++section) {
      page_structs_.resize(section + 1);
      GuestVirt base = load_one(space, places, section);
      if (base.value != 0) {
        base.value += section * frames_per_section_ * page_struct_bytes;
        ++found;
      }
      page_structs_[section] = base;
      next = section + 1;
    }
  }
  return found;
}

/// The coded address of the section's struct pages, 0 for none.
GuestVirt SectionMap::load_one(const AddressSpace& space, const Places& places,
                               std::uint64_t section) {
  GuestVirt at{places.table.value + section * places.section_bytes};
  if (places.sections_per_root != 0) {
    const std::uint64_t root = section / places.sections_per_root;
    if (root >= places.root_count) return {};
    const GuestVirt slot{places.table.value + root * sizeof(std::uint64_t)};
    const auto pointer = space.read_value<std::uint64_t>(slot);
    if (!pointer || *pointer < kKernelHalf) return {};
    space.add_frames(slot, sizeof(std::uint64_t), metadata_);
    at = GuestVirt{*pointer + section % places.sections_per_root * places.section_bytes};
  } else if (section >= places.root_count) {
    return {};
  }
  const auto coded = space.read_value<std::uint64_t>(GuestVirt{at.value + places.map_offset});
  if (!coded) return {};
  space.add_frames(at, places.section_bytes, metadata_);
  if ((*coded & kUsable) != kUsable || *coded < kKernelHalf) return {};
  return GuestVirt{*coded & kMapMask};
}

std::optional<GuestVirt> SectionMap::page_structs(std::uint64_t section) const {
  if (section >= page_structs_.size() || page_structs_[section].value == 0) return std::nullopt;
  return page_structs_[section];
}

}  // namespace hadump
