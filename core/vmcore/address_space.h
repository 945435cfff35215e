// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>

#include "core/base/frame_set.h"
#include "core/vmcore/source.h"
#include "core/vmcore/vmcoreinfo.h"

namespace hadump {

/// Where a virtual address leads, and for how long.
struct Translation {
  GuestPhys phys;
  std::uint64_t bytes = 0;  ///< From here to the end of the page (4 KiB, 2 MiB or 1 GiB).
};

/// The virtual addresses of the crashed kernel, by its own page tables: x86-64 with 4 or 5 levels,
/// wherever KASLR has put kernel, direct map and vmemmap.
///
/// Threads: const, may be shared. `source` is borrowed and must outlive it.
class AddressSpace {
 public:
  /// Finds the kernel's top-level table by SYMBOL(init_top_pgt) or SYMBOL(swapper_pg_dir) and
  /// NUMBER(phys_base), and checks the result against OSRELEASE.
  /// @return kNotFound when a key is missing; kBadData when the tables lead nowhere sensible.
  static Result<AddressSpace> open(const VmcoreSource& source, const Vmcoreinfo& info);

  /// @return kNotFound when nothing is mapped there; kBadData when a table is not readable.
  Result<Translation> translate(GuestVirt at) const;

  /// Reads across pages. Errors as translate(), and kBadData for a frame that is not in the dump.
  Result<> read(GuestVirt at, std::span<std::byte> out) const;

  template <typename T>
  Result<T> read_value(GuestVirt at) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    if (auto r = read(at, std::as_writable_bytes(std::span(&value, 1))); !r)
      return fail(std::move(r));
    return value;
  }

  unsigned levels() const { return levels_; }

  /// Start of the direct map: virtual minus physical address of memory. From the dump's segments
  /// where they say it, else from the page tables; nullopt when neither does.
  std::optional<GuestVirt> page_offset() const { return page_offset_; }

  /// Adds the frames that read() would read there: of the bytes and of the page tables.
  void add_frames(GuestVirt at, std::uint64_t bytes, FrameSet& frames) const;

  /// The frames without which open() fails.
  const FrameSet& metadata() const { return metadata_; }

 private:
  friend class PageTableWalker;
  AddressSpace(const VmcoreSource& source, GuestPhys top, unsigned levels, std::uint64_t mask)
      : source_(&source), top_(top), levels_(levels), address_mask_(mask) {}
  std::optional<GuestVirt> find_page_offset() const;

  const VmcoreSource* source_;
  GuestPhys top_;
  unsigned levels_;
  std::uint64_t address_mask_;  // bits of an entry that are an address
  std::optional<GuestVirt> page_offset_;
  FrameSet metadata_;
};

/// translate() for many addresses: keeps the table of each level that it used last, about 20 KiB.
///
/// Threads: one walker per thread. `space` is borrowed.
class PageTableWalker {
 public:
  static constexpr std::size_t kMaxLevels = 5;

  explicit PageTableWalker(const AddressSpace& space);

  Result<Translation> translate(GuestVirt at);

  /// The tables that the last translate() went through.
  std::span<const Gfn> tables() const { return {path_.data(), path_length_}; }

 private:
  static constexpr std::size_t kEntries = 512;
  using Table = std::array<std::uint64_t, kEntries>;
  struct Slot {
    std::optional<Gfn> gfn;
    Table table{};
  };

  Result<std::uint64_t> entry(Gfn table, unsigned level, std::size_t index);

  const AddressSpace& space_;
  std::unique_ptr<std::array<Slot, kMaxLevels>> slots_;
  std::array<Gfn, kMaxLevels> path_{};
  std::size_t path_length_ = 0;
};

}  // namespace hadump
