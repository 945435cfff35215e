// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/dump/format.h"
#include "core/vmcore/elf_notes.h"

namespace hadump {

/// The format counts in these.
inline constexpr std::uint64_t kKdumpBlock = kFrameSize;

/// What one file of a kdump-compressed dump answers for.
struct KdumpPart {
  std::uint64_t max_mapnr = 0;  ///< Of the whole dump.
  bool is_split = false;
  FrameRange range;  ///< Of a split dump.
};

/// Of one bitmap, whole blocks.
std::uint64_t kdump_bitmap_bytes(std::uint64_t max_mapnr);

/// Header, sub header and notes, whole blocks: the first bitmap follows.
std::uint64_t kdump_headers_bytes(const NoteBytes& notes);

/// Those bytes.
std::vector<std::byte> encode_kdump_headers(const FormatInput& input, const NoteBytes& notes,
                                            const KdumpPart& part, bool complete,
                                            unsigned dump_level);

}  // namespace hadump
