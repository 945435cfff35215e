// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/frame_set.h"

#include <gtest/gtest.h>

#include <bitset>
#include <random>

namespace hadump {
namespace {

constexpr FrameRange r(std::uint64_t begin, std::uint64_t end) {
  return {Gfn{begin}, Gfn{end}};
}

TEST(FrameSet, AdjacentRangesBecomeOne) {
  // {[1,3)} + [3,5) = {[1,5)}
  EXPECT_EQ((FrameSet{r(1, 3), r(3, 5)}), FrameSet{r(1, 5)});
}

TEST(FrameSet, ErasingTheMiddleSplits) {
  // {[0,10)} - [4,6) = {[0,4), [6,10)}
  FrameSet set{r(0, 10)};
  set.erase(r(4, 6));
  EXPECT_EQ(set, (FrameSet{r(0, 4), r(6, 10)}));
  EXPECT_EQ(set.frames(), 8U);
}

TEST(FrameSet, ContainsNeedsEveryFrame) {
  const FrameSet set{r(0, 4), r(6, 10)};
  EXPECT_TRUE(set.contains(r(6, 10)));
  EXPECT_FALSE(set.contains(r(3, 7)));
  EXPECT_TRUE(set.overlaps(r(3, 7)));
  EXPECT_FALSE(set.overlaps(r(4, 6)));
  EXPECT_TRUE(set.contains(Gfn{0}));
  EXPECT_FALSE(set.contains(Gfn{4}));
}

// Any sequence of inserts and erases gives what a bitmap of the same frames gives.
TEST(FrameSet, AgreesWithABitmap) {
  std::mt19937 random(1);
  constexpr std::size_t kFrames = 64;
  for (int round = 0; round < 200; ++round) {
    FrameSet set;
    std::bitset<kFrames> model;
    for (int step = 0; step < 20; ++step) {
      std::uint64_t begin = random() % kFrames;
      std::uint64_t end = begin + random() % (kFrames - begin + 1);
      const bool add = random() % 2 == 0;
      add ? set.insert(r(begin, end)) : set.erase(r(begin, end));
      for (std::uint64_t i = begin; i < end; ++i) model[i] = add;
    }
    ASSERT_EQ(set.frames(), model.count());
    for (std::uint64_t i = 0; i < kFrames; ++i) ASSERT_EQ(set.contains(Gfn{i}), model[i]) << i;
    const FrameSet part = set.intersection(r(10, 40));
    for (std::uint64_t i = 0; i < kFrames; ++i)
      ASSERT_EQ(part.contains(Gfn{i}), model[i] && i >= 10 && i < 40) << i;
    for (std::size_t i = 1; i < set.ranges().size(); ++i)
      ASSERT_LT(set.ranges()[i - 1].end, set.ranges()[i].begin);
    for (std::uint64_t begin = 0; begin < kFrames; begin += 3)
      for (std::uint64_t end = begin; end <= kFrames; end += 5) {
        std::optional<Gfn> last;
        for (std::uint64_t i = begin; i < end; ++i)
          if (model[i]) last = Gfn{i};
        ASSERT_EQ(set.last_in(r(begin, end)), last) << begin << " to " << end;
      }
  }
}

// Operations on two sets are those of their bitmaps, and leave ranges that do not touch.
TEST(FrameSet, TwoSetsAgreeWithTwoBitmaps) {
  std::mt19937 random(2);
  constexpr std::size_t kFrames = 96;
  const auto any_set = [&](std::bitset<kFrames>& model) {
    FrameSet set;
    for (std::uint64_t at = random() % 4; at < kFrames;) {
      const std::uint64_t end = std::min<std::uint64_t>(at + 1 + random() % 6, kFrames);
      set.insert(r(at, end));
      for (std::uint64_t i = at; i < end; ++i) model[i] = true;
      at = end + random() % 8;
    }
    return set;
  };
  const auto expect_same = [](const FrameSet& set, const std::bitset<kFrames>& model) {
    for (std::uint64_t i = 0; i < kFrames; ++i) ASSERT_EQ(set.contains(Gfn{i}), model[i]) << i;
    ASSERT_EQ(set.frames(), model.count());
    for (std::size_t i = 1; i < set.ranges().size(); ++i)
      ASSERT_LT(set.ranges()[i - 1].end, set.ranges()[i].begin);
  };
  for (int round = 0; round < 500; ++round) {
    std::bitset<kFrames> model_a;
    std::bitset<kFrames> model_b;
    const FrameSet a = any_set(model_a);
    const FrameSet b = any_set(model_b);
    FrameSet both = a;
    both.insert(b);
    FrameSet rest = a;
    rest.erase(b);
    expect_same(both, model_a | model_b);
    expect_same(rest, model_a & ~model_b);
    expect_same(a.intersection(b), model_a & model_b);
    rest.erase(FrameSet(rest));
    EXPECT_TRUE(rest.empty());
  }
}

}  // namespace
}  // namespace hadump
