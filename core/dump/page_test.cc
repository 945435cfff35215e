// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/page_test.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace hadump {

bool is_zero_page(std::span<const std::byte> page) {
  constexpr std::size_t kStep = 64;
  const std::byte* const end = page.data() + page.size();
  for (const std::byte* at = page.data(); at != end; at += kStep) {
    std::array<std::uint64_t, kStep / sizeof(std::uint64_t)> words;
    std::memcpy(words.data(), at, kStep);
    std::uint64_t any = 0;
    for (std::uint64_t word : words) any |= word;
    if (any != 0) return false;
  }
  return true;
}

bool looks_incompressible(std::span<const std::byte> page) {
  constexpr std::size_t kSpots = 16;
  constexpr std::size_t kSpotBytes = 16;
  // 256 random bytes hit 162 of the 256 values, give or take 6; text hits about 50, pointers less.
  constexpr unsigned kLeastValues = 140;
  std::array<std::uint64_t, 4> seen{};
  const std::size_t stride = page.size() / kSpots;
  for (std::size_t spot = 0; spot < kSpots; ++spot)
    for (std::size_t i = 0; i < kSpotBytes; ++i) {
      const auto value = static_cast<unsigned>(page[spot * stride + i]);
      seen[value / 64] |= std::uint64_t{1} << (value % 64);
    }
  unsigned values = 0;
  for (std::uint64_t word : seen) values += static_cast<unsigned>(__builtin_popcountll(word));
  return values >= kLeastValues;
}

}  // namespace hadump
