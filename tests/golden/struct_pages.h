// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/vmcore/section_map.h"
#include "core/vmcore/source.h"

namespace hadump::golden {

/// The words of a struct page that say what the page is for, as the sample has them.
struct PageWords {
  std::uint64_t flags = 0;
  std::uint64_t mapping = 0;
  std::uint64_t compound_head = 0;  ///< Or compound_info.
  std::uint32_t type = 0;           ///< _mapcount

  bool is_tail() const { return (compound_head & 1) != 0; }
  bool looks_anonymous() const { return (mapping & 1) != 0; }  // PAGE_MAPPING_ANON
};

/// Reads single struct pages, without any of the page classifier's rules. Not thread-safe.
class StructPages {
 public:
  /// @param source  borrowed; must outlive it. Throws std::runtime_error.
  explicit StructPages(const VmcoreSource& source);

  const Vmcoreinfo& info() const { return info_; }
  std::optional<PageWords> at(std::uint64_t frame) const;
  /// The head of the compound page that this frame is a tail of; the frame itself for others.
  std::uint64_t head_of(std::uint64_t frame) const;
  /// Whether `words` have this flag of VMCOREINFO's.
  bool has_flag(const PageWords& words, std::string_view name) const;
  /// Whether they have this page type of VMCOREINFO's.
  bool has_type(const PageWords& words, std::string_view name) const;

 private:
  std::optional<GuestVirt> address(std::uint64_t frame) const;

  Vmcoreinfo info_;
  std::optional<AddressSpace> space_;
  SectionMap sections_;
  std::uint64_t size_ = 0;
};

}  // namespace hadump::golden
