// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "core/base/error.h"
#include "core/base/units.h"

namespace hadump {

inline constexpr std::size_t kPageTableEntries = 512;
using PageTable = std::array<std::uint64_t, kPageTableEntries>;
/// The bits of an entry, and of CR3, that are an address.
inline constexpr std::uint64_t kPageTableAddress = 0x000FFFFFFFFFF000;

/// Where page tables are read from.
///
/// Implementations: AddressSpace (a dump), RamTables (a domain; hv/domain/page_offset.cc).
class PageTableReader {
 public:
  virtual ~PageTableReader() = default;
  /// Fills `out`. @return why the frame cannot be read; `out` is undefined then.
  virtual Result<> read_table(Gfn table, PageTable& out) const = 0;
};

/// Where a walk starts, and how it goes.
struct PageTableRoot {
  Gfn top;
  unsigned levels = 4;  ///< Or 5.
  std::uint64_t address_mask = kPageTableAddress;
};

/// Where a virtual address leads, and for how long.
struct Translation {
  GuestPhys phys;
  std::uint64_t bytes = 0;  ///< From here to the end of the page (4 KiB, 2 MiB or 1 GiB).
};

/// Walks x86-64 page tables with 4 or 5 levels, for many addresses: keeps the table of each level
/// that it used last, about 20 KiB. Tables that lead in circles end as all others do, after as many
/// steps as there are levels.
///
/// Threads: one walker per thread. `reader` is borrowed.
class PageTableWalker {
 public:
  static constexpr std::size_t kMaxLevels = 5;

  PageTableWalker(const PageTableReader& reader, const PageTableRoot& root);

  /// @return kNotFound when nothing is mapped there; what the reader said of a table.
  Result<Translation> translate(GuestVirt at);

  /// The tables that the last translate() went through, the last of them perhaps in vain.
  std::span<const Gfn> tables() const { return {path_.data(), path_length_}; }

  unsigned levels() const { return root_.levels; }

 private:
  struct Slot {
    std::optional<Gfn> gfn;
    PageTable table{};
  };

  Result<std::uint64_t> entry(Gfn table, unsigned level, std::size_t index);

  const PageTableReader& reader_;
  PageTableRoot root_;
  std::unique_ptr<std::array<Slot, kMaxLevels>> slots_;
  std::array<Gfn, kMaxLevels> path_{};
  std::size_t path_length_ = 0;
};

/// The first address of the direct map's area that is mapped.
struct FirstMapping {
  GuestVirt virt;
  GuestPhys phys;

  /// Where physical 0 would be. @pre phys.value <= virt.value.
  GuestVirt page_offset() const { return {virt.value - phys.value}; }
};

/// Enough to find any direct map: one table of each level is passed on the way to it.
inline constexpr unsigned kDirectMapSteps = 8 * kPageTableEntries;

/// Looks for Linux's direct map: the first thing that is mapped from the fixed lower bound of its
/// area on, which KASLR moves by whole steps of 1 GiB (Documentation/arch/x86/x86_64/mm.rst,
/// arch/x86/mm/kaslr.c). Tables that lead on everywhere and map nothing would be stepped through
/// page by page, for days: it ends after kDirectMapSteps.
/// @param steps  how many may be taken altogether; made less by those that were.
/// @return nothing when they lead nowhere there.
std::optional<FirstMapping> find_direct_map(PageTableWalker& walker, unsigned& steps);

}  // namespace hadump
