// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

// Runs every fuzz target on its seeds and on damaged copies of them, in every build and with every
// compiler: what libFuzzer does for hours, for a second. Each part's corpus test instantiates it.

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "tests/fuzz/targets.h"

namespace hadump {

inline constexpr int kMutations = 100;

/// One to eight changes: a byte, a word of extreme bits, a cut, a copied stretch.
inline std::vector<std::byte> damaged(std::vector<std::byte> bytes, std::mt19937& random) {
  const auto below = [&](std::size_t limit) {
    return static_cast<std::size_t>(random()) % std::max<std::size_t>(limit, 1);
  };
  for (std::size_t changes = 1 + below(8); changes > 0 && bytes.size() > 16; --changes) {
    // Headers are small and files are large: half of the changes go to the beginning.
    const std::size_t reach =
        below(2) == 0 ? std::min<std::size_t>(bytes.size(), 512) : bytes.size();
    const std::size_t at = below(reach - 8);
    switch (below(5)) {
      case 0:
        bytes[at] = static_cast<std::byte>(random());
        break;
      case 1:
        bytes[at] ^= std::byte{1} << below(8);
        break;
      case 2:
        for (std::size_t i = 0; i < 8; ++i) bytes[at + i] = std::byte{0xFF};
        break;
      case 3:
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() - 8)), 8,
                    bytes.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      default:
        bytes.resize(below(bytes.size()));
    }
  }
  return bytes;
}

/// Of the processor, by one input, sanitized and on a slow machine. libFuzzer has its own limits
/// (campaign).
inline constexpr double kMaxInputSeconds = 5;

inline void run_within_limit(const FuzzTarget& target, std::span<const std::byte> input) {
  const std::clock_t begun = std::clock();
  target.run(input);
  const double seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  EXPECT_LT(seconds, kMaxInputSeconds) << "an input of " << input.size() << " bytes";
}

class FuzzCorpus : public testing::TestWithParam<const FuzzTarget*> {};

TEST_P(FuzzCorpus, SurvivesSeedsAndDamage) {
  const FuzzTarget& target = *GetParam();
  std::mt19937 random(1);  // the same every time
  run_within_limit(target, {});
  for (const auto& seed : target.seeds()) {
    run_within_limit(target, seed);
    for (int i = 0; i < kMutations; ++i) run_within_limit(target, damaged(seed, random));
  }
}

}  // namespace hadump
