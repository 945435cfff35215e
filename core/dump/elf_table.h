// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/units.h"
#include "core/vmcore/kernel_identity.h"
#include "core/vmcore/source.h"

namespace hadump {

/// One PT_LOAD of whole frames. Without contents where file_frames is 0.
struct ElfLoad {
  Gfn first;
  std::uint64_t memory_frames = 0;
  std::uint64_t file_frames = 0;
  std::uint64_t file_offset = 0;
};

/// What the headers of an ELF core say about its PT_LOADs: where each is mapped, and the kernel's
/// text a second time.
class ElfTable {
 public:
  ElfTable(const VmcoreLayout& layout, const KernelIdentity& identity);

  /// ELF header, the PT_NOTE's and those of `loads`, which point at `loads`' bytes. At most
  /// kExtraHeaders more than these are made.
  /// @param notes_offset,notes_bytes  where in the file the notes are.
  std::vector<std::byte> headers(std::vector<ElfLoad> loads, std::uint64_t notes_offset,
                                 std::uint64_t notes_bytes, bool complete) const;

  /// For the notes, for the text mapping and its pieces.
  static constexpr std::size_t kExtraHeaders = 64;

 private:
  GuestVirt virtual_address(GuestPhys phys) const;
  void add_text_aliases(std::vector<ElfLoad>& loads, std::vector<GuestVirt>& addresses) const;

  GuestVirt page_offset_;
  std::vector<LoadSegment> direct_map_;  ///< Of the source's segments, ascending.
  std::vector<LoadSegment> images_;  ///< Those that map the kernel's text; kExtraHeaders at most.
};

}  // namespace hadump
