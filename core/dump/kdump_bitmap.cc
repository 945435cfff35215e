// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/kdump_bitmap.h"

#include <algorithm>

namespace hadump {
namespace {

constexpr std::uint64_t kBits = 8;
constexpr std::uint64_t kPieceBytes = 256 << 10;

void set_bit(std::span<std::uint8_t> out, std::uint64_t bit, bool value) {
  const auto mask = static_cast<std::uint8_t>(1U << (bit % kBits));
  std::uint8_t& byte = out[bit / kBits];
  byte = static_cast<std::uint8_t>(value ? byte | mask : byte & ~mask);
}

/// Makes bits [begin, end) `value`, whole bytes at a time where there are any.
void set_bits(std::span<std::uint8_t> out, std::uint64_t begin, std::uint64_t end, bool value) {
  while (begin < end && begin % kBits != 0) set_bit(out, begin++, value);
  while (begin < end && end % kBits != 0) set_bit(out, --end, value);
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(begin / kBits),
            out.begin() + static_cast<std::ptrdiff_t>(end / kBits),
            static_cast<std::uint8_t>(value ? 0xff : 0));
}

}  // namespace

void fill_bits(const FrameSet& frames, std::uint64_t first_byte, std::span<std::uint8_t> out) {
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  const FrameRange window{Gfn{first_byte * kBits}, Gfn{(first_byte + out.size()) * kBits}};
  const auto ranges = frames.ranges();
  auto at = std::upper_bound(ranges.begin(), ranges.end(), window.begin,
                             [](Gfn gfn, FrameRange range) { return gfn < range.end; });
  for (; at != ranges.end() && at->begin < window.end; ++at)
    set_bits(out, std::max(at->begin, window.begin).value - window.begin.value,
             std::min(at->end, window.end).value - window.begin.value, true);
}

Result<> for_each_bitmap_piece(
    const FrameSet& frames, std::uint64_t bytes, bool with_empty,
    const std::function<Result<>(std::uint64_t first_byte, std::span<const std::uint8_t>)>& put) {
  std::vector<std::uint8_t> piece;
  const auto ranges = frames.ranges();
  auto next = ranges.begin();
  for (std::uint64_t at = 0; at < bytes; at += piece.size()) {
    while (next != ranges.end() && next->end.value <= at * kBits) ++next;
    if (!with_empty && next == ranges.end()) break;
    if (!with_empty) at = std::max(at, round_down(next->begin.value / kBits, kPieceBytes));
    piece.resize(static_cast<std::size_t>(std::min(kPieceBytes, bytes - at)));
    fill_bits(frames, at, piece);
    if (auto done = put(at, piece); !done) return done;
  }
  return {};
}

void PendingBits::fill(std::uint64_t first_byte, std::span<std::uint8_t> out) const {
  fill_bits(*frames_, first_byte, out);
  if (edge_byte_ >= first_byte && edge_byte_ - first_byte < out.size())
    out[edge_byte_ - first_byte] = edge_bits_;
}

PendingBits::Piece& PendingBits::piece_for(std::uint64_t first_byte, std::uint64_t end_byte) {
  // Ascending: the first byte is the last one of the piece before, the one after it, or far away.
  if (pieces_.empty() || first_byte > pieces_.back().end_byte())
    pieces_.push_back({first_byte, {}});
  Piece& piece = pieces_.back();
  const std::uint64_t old_end = piece.end_byte();
  if (end_byte > old_end) {
    piece.bits.resize(static_cast<std::size_t>(end_byte - piece.first_byte));
    fill(old_end,
         std::span(piece.bits).subspan(static_cast<std::size_t>(old_end - piece.first_byte)));
  }
  return piece;
}

void PendingBits::set_range(Gfn first, std::size_t count, bool dumped) {
  Piece& piece = piece_for(first.value / kBits, (first.value + count + kBits - 1) / kBits);
  const std::uint64_t base = first.value - piece.first_byte * kBits;
  set_bits(piece.bits, base, base + count, dumped);
}

void PendingBits::commit() {
  if (pieces_.empty()) return;
  edge_byte_ = pieces_.back().end_byte() - 1;
  edge_bits_ = pieces_.back().bits.back();
  pieces_.clear();
}

}  // namespace hadump
