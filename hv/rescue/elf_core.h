// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"
#include "hv/rescue/dump_node.h"

namespace hadump {

/// Linux's direct mapping without KASLR, four page-table levels.
inline constexpr GuestVirt kDefaultPageOffset{0xffff888000000000};

struct ElfCoreInput {
  GuestPhys at;  ///< where the header will be in guest-physical space
  std::span<const hadump_vcpu> vcpus;
  std::span<const std::byte> vmcoreinfo_note;  ///< may be empty
  FrameSet frames;                             ///< what the dump contains
  std::span<const BootRegion> boot_regions;
  GuestVirt page_offset = kDefaultPageOffset;
};

/// The ELF core header of docs/spec/save-area.md.
/// @return kUnsupported when memory is in more pieces than an ELF file can list.
Result<std::vector<std::byte>> build_elf_core_header(const ElfCoreInput& input);

/// The most bytes that such a header can have.
std::uint64_t max_elf_core_header_bytes(std::uint64_t vcpus);

/// The VMCOREINFO note of a header made by build_elf_core_header; empty when there is none or the
/// header is not such a one.
std::span<const std::byte> vmcoreinfo_note_of(std::span<const std::byte> elf_header);

/// The page offset that such a header was made with; the default when it lists no memory.
GuestVirt page_offset_of(std::span<const std::byte> elf_header);

}  // namespace hadump
