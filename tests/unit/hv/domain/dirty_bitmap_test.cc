// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/dirty_bitmap.h"

#include <gtest/gtest.h>

#include <vector>

namespace hadump {
namespace {

FrameRange one(std::uint64_t gfn) {
  return {Gfn{gfn}, Gfn{gfn + 1}};
}

TEST(DirtyBitmap, HasABitForEachFrame) {
  const std::vector<std::uint64_t> words{0x8000000000000005, 0x1, 0, ~std::uint64_t{0}};
  const FrameSet all = frames_of_bitmap(words, Gfn{256});
  EXPECT_EQ(all, (FrameSet{one(0), one(2), {Gfn{63}, Gfn{65}}, {Gfn{192}, Gfn{256}}}));
  EXPECT_EQ(frames_of_bitmap(words, Gfn{200}), all.intersection(FrameRange{Gfn{0}, Gfn{200}}));
  EXPECT_TRUE(frames_of_bitmap({}, Gfn{0}).empty());
}

TEST(DirtyBitmap, ManyRangesBecomeFewerButLoseNothing) {
  const Gfn end{64 * 64 - 3};
  std::vector<std::uint64_t> words(64, 0x5555555555555555);  // every other page
  EXPECT_EQ(frames_of_bitmap(words, end).ranges().size(), end.value / 2 + 1) << "exact below it";
  EXPECT_EQ(frames_of_bitmap(words, end, 100), (FrameSet{{Gfn{0}, end}})) << "pairs are enough";

  for (std::size_t i = 0; i < words.size(); ++i) words[i] = i % 2 == 0 ? 0x0001000000010000 : 0;
  const FrameSet exact = frames_of_bitmap(words, end);
  EXPECT_EQ(exact.ranges().size(), 64U);
  const FrameSet coarse = frames_of_bitmap(words, end, 32);
  EXPECT_EQ(coarse.ranges().size(), 32U);
  EXPECT_EQ(coarse.intersection(exact), exact);
  EXPECT_EQ(coarse.frames(), 32U * 64) << "no more than it takes";
}

// A guest of 64 GiB that writes to every other page: its set was 134 MB, and there are several.
TEST(DirtyBitmap, AGuestDoesNotDecideHowLargeItIs) {
  const std::uint64_t frames = 64_GiB >> kFrameShift;
  std::vector<std::uint64_t> words(frames / 64, 0x5555555555555555);
  EXPECT_LE(frames_of_bitmap(words, Gfn{frames}).ranges().size(), kMaxDirtyRanges);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = i % 2 == 0 ? 1 : 0;
  const FrameSet sparse = frames_of_bitmap(words, Gfn{frames});
  EXPECT_LE(sparse.ranges().size(), kMaxDirtyRanges);
  EXPECT_TRUE(sparse.contains(Gfn{frames - 128}));
}

// More than can be said in few ranges even so: the largest unit is the last word.
TEST(DirtyBitmap, TheLargestUnitIsALargePage) {
  std::vector<std::uint64_t> words(8 * 8);
  for (const std::size_t i : {0, 16, 32}) words[i] = 1;
  EXPECT_EQ(frames_of_bitmap(words, Gfn{4096}, 1),
            (FrameSet{{Gfn{0}, Gfn{512}}, {Gfn{1024}, Gfn{1536}}, {Gfn{2048}, Gfn{2560}}}));
}

}  // namespace
}  // namespace hadump
