// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <type_traits>

#include "core/base/frame_set.h"
#include "core/vmcore/page_tables.h"
#include "core/vmcore/source.h"
#include "core/vmcore/vmcoreinfo.h"

namespace hadump {

/// The virtual addresses of the crashed kernel, by its own page tables: x86-64 with 4 or 5 levels,
/// wherever KASLR has put kernel, direct map and vmemmap.
///
/// Threads: const, may be shared. `source` is borrowed and must outlive it.
class AddressSpace final : public PageTableReader {
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

  /// translate() for many addresses. The walker borrows this object.
  PageTableWalker walker() const { return {*this, root_}; }

  Result<> read_table(Gfn table, PageTable& out) const override;

  unsigned levels() const { return root_.levels; }

  /// Start of the direct map: virtual minus physical address of memory. From the dump's segments
  /// where they say it, else from the page tables; nullopt when neither does.
  std::optional<GuestVirt> page_offset() const { return page_offset_; }

  /// Adds the frames that read() would read there: of the bytes and of the page tables.
  void add_frames(GuestVirt at, std::uint64_t bytes, FrameSet& frames) const;

  /// The frames without which open() fails.
  const FrameSet& metadata() const { return metadata_; }

 private:
  AddressSpace(const VmcoreSource& source, const PageTableRoot& root)
      : source_(&source), root_(root) {}
  std::optional<GuestVirt> find_page_offset() const;

  const VmcoreSource* source_;
  PageTableRoot root_;
  std::optional<GuestVirt> page_offset_;
  FrameSet metadata_;
};

}  // namespace hadump
