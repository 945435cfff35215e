// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/bitmap_block.h"

#include <bit>
#include <span>

namespace hadump {

Result<> read_bitmap_block(const ByteFile& file, std::uint64_t bitmap, std::uint64_t block,
                           BitmapBlock& out) {
  return file.read_at(std::as_writable_bytes(std::span(out)), bitmap + block * kFrameSize);
}

std::uint64_t next_block(const ByteFile& file, std::uint64_t bitmap, std::uint64_t block) {
  const std::uint64_t at = bitmap + block * kFrameSize;
  return (std::max(at, file.next_data(at)) - bitmap) / kFrameSize;
}

std::uint64_t count_bits(const BitmapBlock& block, std::uint64_t begin, std::uint64_t end) {
  std::uint64_t count = 0;
  for (std::uint64_t word = begin / 64; word * 64 < end; ++word) {
    std::uint64_t bits = block[word];
    if (word * 64 < begin) bits &= ~std::uint64_t{0} << (begin % 64);
    if ((word + 1) * 64 > end) bits &= (std::uint64_t{1} << (end % 64)) - 1;
    count += static_cast<std::uint64_t>(std::popcount(bits));
  }
  return count;
}

}  // namespace hadump
