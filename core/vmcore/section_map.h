// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "core/vmcore/address_space.h"

namespace hadump {

/// Sections of a machine of 128 TiB. Frames beyond have no struct page for us: they are kept.
inline constexpr std::uint64_t kMaxSections = std::uint64_t{1} << 20;

/// Where the struct pages of each memory section (128 MiB on x86-64) are, as SPARSEMEM has it, in
/// both its forms (one array of sections, or an array of roots).
///
/// Sources: include/linux/mmzone.h, mm/sparse.c.
class SectionMap {
 public:
  /// @param frames  the dump's; only sections that hold some of them are looked up.
  /// @return kNotFound for a missing key; kBadData for absurd numbers, or when not one section
  ///         with struct pages is found.
  static Result<SectionMap> load(const AddressSpace& space, const Vmcoreinfo& info,
                                 std::size_t page_struct_bytes, const FrameSet& frames);

  std::uint64_t frames_per_section() const { return frames_per_section_; }
  std::uint64_t section_of(Gfn gfn) const { return gfn.value / frames_per_section_; }
  FrameRange section_range(std::uint64_t section) const {
    return {Gfn{section * frames_per_section_}, Gfn{(section + 1) * frames_per_section_}};
  }
  /// All sections from here on have no struct pages.
  std::uint64_t end() const { return page_structs_.size(); }
  /// The struct page of the section's first frame; nullopt where there is none.
  std::optional<GuestVirt> page_structs(std::uint64_t section) const;

  /// The frames that hold the section tables themselves, and the page tables on the way to them.
  const FrameSet& metadata() const { return metadata_; }

 private:
  struct Places {
    GuestVirt table;  ///< SYMBOL(mem_section)
    std::uint64_t root_count = 0;
    std::uint64_t section_bytes = 0;      ///< SIZE(mem_section)
    std::uint64_t map_offset = 0;         ///< OFFSET(mem_section.section_mem_map)
    std::uint64_t sections_per_root = 0;  ///< 0: no roots
  };
  static Result<Places> places_from(const Vmcoreinfo& info, std::uint64_t section_shift);
  std::size_t load_sections(const AddressSpace& space, const Places& places,
                            std::size_t page_struct_bytes, const FrameSet& frames);
  GuestVirt load_one(const AddressSpace& space, const Places& places, std::uint64_t section);

  std::uint64_t frames_per_section_ = 0;
  std::vector<GuestVirt> page_structs_;  // by section; 0: none
  FrameSet metadata_;
};

}  // namespace hadump
