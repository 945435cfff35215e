// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/vmcore/address_space.h"
#include "core/vmcore/section_map.h"
#include "core/vmcore/source.h"

namespace hadump {

/// A stretch of struct pages at hand.
struct PageStructWindow {
  FrameView view;
  std::unique_ptr<std::byte[]> copy;
  const std::byte* data = nullptr;
  std::uint64_t count = 0;  ///< 0 when not even the first is to be had.
};

/// Fetches struct pages: large stretches through windows onto the dump, short ones, and those that
/// cross page borders, as copies.
///
/// Threads: one reader per thread. What it is made of is borrowed.
class PageStructReader {
 public:
  /// @param bytes  of one struct page.
  PageStructReader(const VmcoreSource& source, const AddressSpace& space,
                   const SectionMap& sections, std::size_t bytes)
      : source_(source),
        space_(space),
        sections_(sections),
        walker_(space.walker()),
        bytes_(bytes) {}

  /// At most `wanted` struct pages from that of `gfn` on. @pre they are of one section.
  PageStructWindow open_of(Gfn gfn, std::uint64_t wanted);
  /// At most `wanted` struct pages from `at` on.
  PageStructWindow open(GuestVirt at, std::uint64_t wanted);

 private:
  PageStructWindow copy(GuestVirt at, std::uint64_t wanted) const;

  const VmcoreSource& source_;
  const AddressSpace& space_;
  const SectionMap& sections_;
  PageTableWalker walker_;
  std::size_t bytes_;
};

}  // namespace hadump
