// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/units.h"

namespace hadump {

/// Writes LZO1X, the format of lzo1x_decompress_safe(), for single pages: about three
/// quarters of lzo1x_1_compress()'s time for 2 or 3 % more bytes, because a page is small
/// (positions fit 16 bits and a table of 8 KiB, no match is ever far away), because the branches
/// that nobody can predict are few, and because matches that save next to nothing are passed over.
///
/// The format: linux/Documentation/staging/lzo.rst. Equal pages give equal output.
/// Threads: one at a time.
class LzoEncoder {
 public:
  /// The format costs 21 bytes on a page without a match; the rest is room for copies in steps.
  static constexpr std::size_t kMaxOutput = kFrameSize + 64;

  /// @param page  kFrameSize bytes.
  /// @param out   at least kMaxOutput bytes; any of them may be written to.
  /// @return bytes of `out` that are the compressed page; more than kFrameSize when it grows.
  std::size_t encode(std::span<const std::byte> page, std::span<std::byte> out);

 private:
  static constexpr unsigned kTableBits = 12;

  struct Search {
    std::size_t at = 1;      ///< What is looked at; after a success, where the match begins.
    std::size_t match = 0;   ///< An earlier position with the same bytes.
    std::size_t anchor = 0;  ///< The first byte that is not in the output yet.
  };

  [[gnu::always_inline]] inline std::size_t exchange(std::uint64_t value, std::size_t position);
  [[gnu::always_inline]] inline bool find_match(const std::byte* in, Search& search);

  /// Where a value was seen last, by its hash. 0, the first position, stands for "never" as well:
  /// what is there is compared in any case.
  std::array<std::uint16_t, std::size_t{1} << kTableBits> table_;
};

}  // namespace hadump
