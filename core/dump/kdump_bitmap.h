// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"

namespace hadump {

/// Bits of `frames` for the bytes [first_byte, first_byte + out.size()): bit n of byte b is frame
/// 8 * b + n.
void fill_bits(const FrameSet& frames, std::uint64_t first_byte, std::span<std::uint8_t> out);

/// Hands out a whole bitmap of `bytes` bytes in pieces, so that it is never in memory.
/// @param with_empty  also those pieces in which nothing is set.
Result<> for_each_bitmap_piece(
    const FrameSet& frames, std::uint64_t bytes, bool with_empty,
    const std::function<Result<>(std::uint64_t first_byte, std::span<const std::uint8_t>)>& put);

/// The part of the second bitmap that is known but not written yet. Frames that have not been
/// saved count as dumped: without a descriptor they read as lost.
class PendingBits {
 public:
  struct Piece {
    std::uint64_t first_byte = 0;
    std::vector<std::uint8_t> bits;
    std::uint64_t end_byte() const { return first_byte + bits.size(); }
  };

  /// @param frames  all frames of the dump; borrowed.
  explicit PendingBits(const FrameSet& frames) : frames_(&frames) {}

  /// All of them are dumped, or none. @pre ascending from call to call, together whole chunks.
  void set_range(Gfn first, std::size_t count, bool dumped);

  const std::vector<Piece>& pieces() const { return pieces_; }
  /// What is known of the bytes [first_byte, first_byte + out.size()) that no piece has.
  void fill(std::uint64_t first_byte, std::span<std::uint8_t> out) const;

  /// They have been written; remembers the last byte, which the next chunk may share.
  void commit();
  void rollback() { pieces_.clear(); }

 private:
  Piece& piece_for(std::uint64_t first_byte, std::uint64_t end_byte);

  const FrameSet* frames_;
  std::vector<Piece> pieces_;
  std::uint64_t edge_byte_ = ~std::uint64_t{0};
  std::uint8_t edge_bits_ = 0;
};

}  // namespace hadump
