// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/frame_uses.h"

#include <gmock/gmock.h>

#include <random>

namespace hadump {
namespace {

constexpr FrameRange r(std::uint64_t begin, std::uint64_t end) {
  return {Gfn{begin}, Gfn{end}};
}

FrameUses built(const std::vector<FrameUse>& uses, std::size_t most = kMaxFrameUses) {
  FrameUsesBuilder builder(most);
  for (const FrameUse& use : uses) builder.add(use.frames, use.used_for);
  return std::move(builder).build();
}

TEST(FrameUses, AFrameIsNeededUntilItsLastUse) {
  const FrameUses uses = built({{r(10, 20), r(100, 200)}, {r(20, 21), r(300, 400)}});
  EXPECT_EQ(uses.last_use(r(0, 10), {r(0, 1000)}), std::nullopt);
  EXPECT_EQ(uses.last_use(r(0, 11), {r(0, 1000)}), Gfn{199});
  EXPECT_EQ(uses.last_use(r(0, 100), {r(0, 1000)}), Gfn{399});
  EXPECT_EQ(uses.last_use(r(0, 100), {r(0, 310), r(320, 330)}), Gfn{329});
  EXPECT_EQ(uses.last_use(r(0, 100), {r(0, 300)}), Gfn{199});
  EXPECT_EQ(uses.last_use(r(0, 100), {r(0, 100), r(200, 300)}), std::nullopt);
  EXPECT_TRUE(uses.needed(r(20, 30), {r(399, 400)}));
  EXPECT_FALSE(uses.needed(r(21, 30), {r(399, 400)}));
}

TEST(FrameUses, WhatIsUsedTwiceIsUsedForAllBetween) {
  const FrameUses uses =
      built({{r(5, 6), r(100, 200)}, {r(6, 9), r(0, 9)}, {r(5, 6), r(300, 400)}});
  EXPECT_THAT(uses.uses(), testing::ElementsAre(FrameUse{r(5, 6), r(100, 400)},  //
                                                FrameUse{r(6, 9), r(0, 9)}));
}

TEST(FrameUses, NeighboursWithOnePurposeAreOne) {
  const FrameUses uses = built({{r(6, 7), r(1, 2)}, {r(5, 6), r(1, 2)}, {r(8, 9), r(1, 2)}});
  EXPECT_THAT(uses.uses(), testing::ElementsAre(FrameUse{r(5, 7), r(1, 2)},  //
                                                FrameUse{r(8, 9), r(1, 2)}));
}

TEST(FrameUses, NothingIsUsedForNothing) {
  EXPECT_TRUE(built({}).uses().empty());
  EXPECT_TRUE(built({{r(5, 5), r(1, 2)}, {r(5, 6), r(1, 1)}}).uses().empty());
  EXPECT_FALSE(FrameUses().needed(r(0, 1000), {r(0, 1000)}));
}

// However few are remembered: what is still needed is never said not to be.
TEST(FrameUses, ForgettingErrsOnTheSafeSide) {
  std::mt19937 random(1);
  const auto any_range = [&](std::uint64_t most) {
    const std::uint64_t begin = random() % 4000;
    return r(begin, begin + 1 + random() % most);
  };
  for (int round = 0; round < 100; ++round) {
    std::vector<FrameUse> all;
    for (int i = 0; i < 300; ++i) all.push_back({any_range(8), any_range(300)});
    const std::size_t most = 1 + random() % 200;
    const FrameUses uses = built(all, most);
    ASSERT_LE(uses.uses().size(), most);
    for (std::size_t i = 1; i < uses.uses().size(); ++i)
      ASSERT_LE(uses.uses()[i - 1].frames.end, uses.uses()[i].frames.begin);
    for (int i = 0; i < 50; ++i) {
      const FrameRange block = any_range(50);
      const FrameSet open{any_range(100), any_range(100)};
      std::optional<Gfn> last;
      for (const FrameUse& use : all)
        if (use.frames.overlaps(block)) last = std::max(last, open.last_in(use.used_for));
      ASSERT_GE(uses.last_use(block, open), last);
    }
  }
}

// As after a first dump: each block has its own struct pages at its begin. A machine of too many
// blocks keeps some of them for a little longer, not all of them to the end.
TEST(FrameUses, ForgettingIsEven) {
  constexpr std::uint64_t kBlock = 32768, kBlocks = 10000, kMost = 1000;
  FrameUsesBuilder builder(kMost);
  for (std::uint64_t i = 0; i < kBlocks; ++i)
    builder.add(r(i * kBlock, i * kBlock + 512), r(i * kBlock, (i + 1) * kBlock));
  const FrameUses uses = std::move(builder).build();
  EXPECT_LE(uses.uses().size(), kMost);
  for (std::uint64_t i = 0; i + 32 < kBlocks; ++i) {
    const FrameRange block = r(i * kBlock, (i + 1) * kBlock);
    EXPECT_TRUE(uses.needed(block, {block}));
    EXPECT_FALSE(uses.needed(block, {r((i + 32) * kBlock, kBlocks * kBlock)})) << i;
  }
}

}  // namespace
}  // namespace hadump
