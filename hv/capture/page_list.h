// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/vmcore/address_space.h"

namespace hadump {

/// Pages by the kernel's virtual addresses.
struct ListedRun {
  GuestVirt start;  ///< page-aligned
  std::uint64_t pages = 0;
};

/// Of one list: 4 GiB, in as many lines.
inline constexpr std::uint64_t kMaxListedPages = 4_GiB >> kFrameShift;
inline constexpr std::uint64_t kMaxPageListBytes = 4_MiB;

/// Lines "ADDRESS PAGES", in decimal or as 0x…; '#' begins a comment, and empty lines do not count.
/// @return kBadData with the line's number for anything else, for an address inside a page or a run
///         that ends beyond the last one, and when there is no page in it or more than
///         kMaxListedPages.
Result<std::vector<ListedRun>> parse_page_list(const std::string& text);

/// What a list means in one domain.
struct ListedPages {
  FrameSet frames;  ///< of the pages, and of the page tables that lead to them
  std::uint64_t asked = 0;
  std::uint64_t unmapped = 0;  ///< pages of them that nothing is mapped at
};

/// Translates by the kernel's page tables.
ListedPages find_listed_pages(const AddressSpace& space, const std::vector<ListedRun>& list);

}  // namespace hadump
