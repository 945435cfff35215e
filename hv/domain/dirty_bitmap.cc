// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/dirty_bitmap.h"

#include <algorithm>
#include <bit>
#include <optional>

namespace hadump {
namespace {

constexpr unsigned kWordBits = 64;
constexpr std::uint64_t kLargestUnit = 2_MiB >> kFrameShift;

// @return nothing when there are more ranges.
std::optional<FrameSet> frames_in_units(std::span<const std::uint64_t> words, Gfn end,
                                        std::uint64_t unit, std::size_t max_ranges) {
  FrameSet frames;
  for (std::size_t i = 0; i < words.size(); ++i)
    for (std::uint64_t word = words[i]; word != 0;) {
      const auto first = static_cast<unsigned>(std::countr_zero(word));
      const auto ones = static_cast<unsigned>(std::countr_one(word >> first));
      const std::uint64_t begin = i * kWordBits + first;
      if (begin >= end.value) return frames;
      frames.insert(
          {Gfn{round_down(begin, unit)}, Gfn{std::min(round_up(begin + ones, unit), end.value)}});
      if (frames.ranges().size() > max_ranges) return {};
      word = first + ones >= kWordBits ? 0 : word & (~std::uint64_t{0} << (first + ones));
    }
  return frames;
}

}  // namespace

FrameSet frames_of_bitmap(std::span<const std::uint64_t> words, Gfn end, std::size_t max_ranges) {
  for (std::uint64_t unit = 1; unit < kLargestUnit; unit *= 2)
    if (auto frames = frames_in_units(words, end, unit, max_ranges)) return std::move(*frames);
  return frames_in_units(words, end, kLargestUnit, words.size() * kWordBits).value_or(FrameSet());
}

}  // namespace hadump
