// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "released_memory.h"

namespace hadump {
namespace {

// What a walk over the pieces of the block of `range` finds: one letter for each frame.
std::string pieces_of(const hadump_layout& layout, const hadump_block& block, hadump_range range) {
  std::string text;
  while (range.start < range.end) {
    bool hole = false;
    const hadump_range piece = hadump_next_piece(&layout, &block, range, &hole);
    const u64 size = piece.end - piece.start;
    EXPECT_EQ(piece.start, range.start);
    EXPECT_LT(piece.start, piece.end);
    EXPECT_EQ(size & (size - 1), 0U);
    EXPECT_EQ(piece.start % size, 0U) << "aligned to its size";
    text.append(size / kTestFrame, hole ? '.' : '#');
    range.start = piece.end;
  }
  return text;
}

TEST(NextPiece, CutsIntoAlignedPowersOfTwoOfOneKind) {
  // A chunk [16, 32) with the holes [19, 24).
  const ReleasedMemory memory({frames(16, 32)}, {frames(19, 24)}, kSave, false);
  hadump_range left = frames(16, 32);
  std::vector<std::pair<u64, u64>> pieces;
  std::vector<bool> holes;
  while (left.start < left.end) {
    bool hole = false;
    const hadump_range piece =
        hadump_next_piece(&memory.layout(), &memory.layout().blocks[0], left, &hole);
    ASSERT_LT(piece.start, piece.end);
    pieces.emplace_back(piece.start / kTestFrame, piece.end / kTestFrame);
    holes.push_back(hole);
    left.start = piece.end;
  }
  const std::vector<std::pair<u64, u64>> wanted = {
      {16, 18}, {18, 19}, {19, 20}, {20, 24}, {24, 32}};
  EXPECT_EQ(wanted, pieces);
  EXPECT_EQ((std::vector<bool>{false, false, true, true, false}), holes);
}

TEST(MovedHoles, AreCountedOnlyWhereThereIsMemoryBehindTheFront) {
  struct Row {
    std::vector<hadump_range> holes;
    u64 moved;
    const char* why;
  };
  const Row rows[] = {
      {{}, 0, "no holes"},
      {{frames(20, 32)}, 0, "none in the front"},
      {{frames(16, 17), frames(18, 20)}, 3, "in the front"},
      {{frames(18, 24)}, 2, "over its end"},
      {{frames(16, 26)}, 4, "more than half of the block"},
      {{frames(16, 29)}, 0, "3 frames after, 4 holes in the front"},
      {{frames(16, 32)}, 0, "no memory at all"},
  };
  for (const Row& row : rows) {
    const ReleasedMemory memory({frames(16, 32)}, row.holes, kSave, false);
    EXPECT_EQ(hadump_holes_to_move(&memory.layout(), &memory.layout().blocks[0], 20 * kTestFrame),
              row.moved)
        << row.why;
  }
}

TEST(MovedHoles, ListsFramesInPortions) {
  const ReleasedMemory memory({frames(16, 32)}, {frames(17, 19), frames(22, 27)}, kSave, false);
  unsigned long numbers[4] = {};
  u64 at = 16 * kTestFrame;
  ASSERT_EQ(hadump_list_frames(&memory.layout(), &at, 32 * kTestFrame, true, numbers, 4), 4U);
  EXPECT_EQ((std::vector<unsigned long>(numbers, numbers + 4)),
            (std::vector<unsigned long>{17, 18, 22, 23}));
  ASSERT_EQ(hadump_list_frames(&memory.layout(), &at, 32 * kTestFrame, true, numbers, 4), 3U);
  EXPECT_EQ(numbers[2], 26U);
  EXPECT_EQ(at, 32 * kTestFrame);
  at = 16 * kTestFrame;
  ASSERT_EQ(hadump_list_frames(&memory.layout(), &at, 32 * kTestFrame, false, numbers, 4), 4U);
  EXPECT_EQ((std::vector<unsigned long>(numbers, numbers + 4)),
            (std::vector<unsigned long>{16, 19, 20, 21}));
}

// As online.c does it, against a hypervisor that may take or give only a part of a batch.
void move(const hadump_layout& layout, hadump_block& block, u64 front_end,
          std::vector<bool>& present, std::mt19937& random) {
  u64 left = hadump_holes_to_move(&layout, &block, front_end);
  u64 hole = block.start;
  u64 frame = front_end;
  if (left != 0) block.moved = {front_end, block.start, front_end};
  while (left != 0) {
    unsigned long front[3];
    unsigned long behind[3];
    const u32 nr = hadump_list_frames(&layout, &hole, front_end, true, front, 3);
    ASSERT_EQ(hadump_list_frames(&layout, &frame, block.end, false, behind, nr), nr);
    const bool fails = random() % 8 == 0;
    const u32 taken = fails ? static_cast<u32>(random() % (nr + 1)) : nr;
    const u32 filled = fails && taken != 0 ? static_cast<u32>(random() % (taken + 1)) : taken;
    for (u32 i = 0; i < taken; ++i) present[behind[i]] = false;
    for (u32 i = 0; i < filled; ++i) present[front[i]] = true;
    block.moved.absent_end = taken < nr ? behind[taken] * kTestFrame : frame;
    block.moved.filled_end = filled < nr ? front[filled] * kTestFrame : hole;
    left -= nr;
    if (filled < nr) return;
  }
}

// Property: whatever was moved, a walk over the pieces finds each frame as it is.
TEST(MovedHoles, AreFoundWhereTheyAre) {
  std::mt19937 random(7);  // the same every time
  unsigned all_present = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<bool> present(kFramesPerBlock * 3, true);
    std::vector<hadump_range> holes;
    const unsigned density = 1 + random() % 16;
    for (u64 i = 16; i < present.size(); ++i) {
      if (random() % density != 0) continue;
      present[i] = false;
      holes.push_back(frames(i, i + 1));
    }
    ReleasedMemory memory({frames(16, present.size())}, holes, kSave, false);
    const auto before = std::count(present.begin(), present.end(), true);
    bool failed = false;
    for (u32 i = 0; i < memory.layout().nr_blocks; ++i) {
      hadump_block& block = memory.layout().blocks[i];
      const hadump_range front = {block.start, block.start + (1 + random() % 8) * kTestFrame};
      const bool moves = hadump_holes_to_move(&memory.layout(), &block, front.end) != 0;
      move(memory.layout(), block, front.end, present, random);
      std::string truth;
      for (u64 n = block.start / kTestFrame; n < block.end / kTestFrame; ++n)
        truth += present[n] ? '#' : '.';
      ASSERT_EQ(pieces_of(memory.layout(), block, {block.start, block.end}), truth) << round;
      const bool whole = truth.find('.') >= (front.end - front.start) / kTestFrame;
      ASSERT_EQ(hadump_all_present(&memory.layout(), &block, front), whole) << round;
      if (moves && whole) ++all_present;
      failed = failed || (moves && !whole);
    }
    if (!failed) {
      ASSERT_EQ(std::count(present.begin(), present.end(), true), before);
    }
  }
  EXPECT_GT(all_present, 1000U);
}

}  // namespace
}  // namespace hadump
