// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/base/units.h"
#include "core/vmcore/byte_file.h"

namespace hadump {

/// The bitmaps of a kdump-compressed file, a bit for each frame, are read in blocks of so many.
inline constexpr std::uint64_t kBlockBits = kFrameSize * 8;

using BitmapBlock = std::array<std::uint64_t, kFrameSize / 8>;

/// @param bitmap  its place in the file.
Result<> read_bitmap_block(const ByteFile& file, std::uint64_t bitmap, std::uint64_t block,
                           BitmapBlock& out);

/// The next block, from `block` on, that may have bits, because it is not a hole in the file; a
/// number beyond the bitmap when there is none.
std::uint64_t next_block(const ByteFile& file, std::uint64_t bitmap, std::uint64_t block);

inline bool has_bit(const BitmapBlock& block, std::uint64_t index) {
  return ((block[index / 64] >> (index % 64)) & 1) != 0;
}

/// Set bits in [begin, end) of a block.
std::uint64_t count_bits(const BitmapBlock& block, std::uint64_t begin, std::uint64_t end);

/// Calls `take` with the runs of bits that are set in [begin, end) of a block.
template <typename Take>
void for_each_run_of_bits(const BitmapBlock& block, std::uint64_t begin, std::uint64_t end,
                          Take take) {
  for (std::uint64_t at = begin; at < end;) {
    while (at < end && !has_bit(block, at))
      at = block[at / 64] >> (at % 64) == 0 ? round_down(at + 64, 64) : at + 1;
    const std::uint64_t first = at;
    while (at < end && has_bit(block, at))
      at = at % 64 == 0 && block[at / 64] == ~std::uint64_t{0} ? at + 64 : at + 1;
    if (first < end) take(first, std::min(at, end));
  }
}

}  // namespace hadump
