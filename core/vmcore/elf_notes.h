// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/vmcore/source.h"

namespace hadump {

/// The notes as an ELF note segment, and where in it the content of two of them lies (0, 0 when
/// there is none).
struct NoteBytes {
  std::vector<std::byte> bytes;
  std::uint64_t vmcoreinfo_offset = 0;
  std::uint64_t vmcoreinfo_size = 0;
  std::uint64_t erase_info_offset = 0;
  std::uint64_t erase_info_size = 0;
};
NoteBytes encode_notes(const std::vector<ElfNote>& notes);

/// Splits the bytes of a PT_NOTE segment (or what is laid out like one) into notes. Ends quietly at
/// an all-zero note, which Linux leaves as the end mark of a slot.
/// @return kBadData when a note's own sizes lead past the end, or above kMaxNotes notes.
Result<std::vector<ElfNote>> parse_notes(std::span<const std::byte> bytes);

}  // namespace hadump
