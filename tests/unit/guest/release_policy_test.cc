// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include "released_memory.h"

extern "C" {
#include "refusal.h"
}

namespace hadump {
namespace {

// Two blocks held, [16, 48), nothing else.
ReleasedMemory two_blocks() {
  return {{frames(16, 48)}, {}, kSave, false};
}

TEST(CheckRelease, RefusesWithTheDocumentedErrnos) {
  const struct {
    u64 start, length;
    int rc;
    const char* why;
  } rows[] = {
      {16 * kTestFrame, 0, -EINVAL, "empty"},
      {~0ULL - kTestFrame + 1, 2 * kTestFrame, -EINVAL, "overflow"},
      {16 * kTestFrame + 1, kTestFrame, -EFAULT, "start within a page"},
      {16 * kTestFrame, 17, -EFAULT, "length within a page"},
      {15 * kTestFrame, 2 * kTestFrame, -ERANGE, "{15} is not held"},
      {47 * kTestFrame, 2 * kTestFrame, -ERANGE, "{48} is not held"},
      {0, kTestFrame, -ERANGE, "the window"},
      {kSave.start, kTestFrame, -ERANGE, "a part of the save area"},
      {kSave.start, kSave.end - kSave.start, -EBUSY, "the save area, too early"},
      {16 * kTestFrame, kTestFrame, 0, "[16, 17)"},
      {16 * kTestFrame, 32 * kTestFrame, 0, "[16, 48), all"},
  };
  const ReleasedMemory memory = two_blocks();
  for (const auto& row : rows)
    EXPECT_EQ(row.rc, hadump_check_release(&memory.layout(), row.start, row.length)) << row.why;
}

// On such a kernel a hole would be RAM that forgets.
TEST(Refusal, IsForHolesThatNothingKeepsOutOfUse) {
  const ReleasedMemory whole = two_blocks();
  const ReleasedMemory holed({frames(16, 48)}, {frames(20, 21)}, kSave, false);
  EXPECT_EQ(nullptr, hadump_why_not(false, true, &holed.layout()));
  EXPECT_EQ(nullptr, hadump_why_not(false, false, &whole.layout()));
  EXPECT_EQ(nullptr, hadump_why_not(false, false, nullptr));
  EXPECT_STREQ(
      "old memory has holes, and this kernel cannot keep them out of use "
      "(CONFIG_XEN_BALLOON_MEMORY_HOTPLUG is not set)",
      hadump_why_not(false, false, &holed.layout()));
  EXPECT_STREQ("a PV guest cannot take memory back", hadump_why_not(true, true, nullptr));
}

TEST(CheckRelease, RefusesAnyFrameThatWasReleased) {
  ReleasedMemory memory = two_blocks();
  ASSERT_EQ(0, memory.release(frames(20, 24)));
  EXPECT_EQ(-EALREADY, memory.check(frames(23, 25)));
  EXPECT_EQ(-EALREADY, memory.check(frames(16, 48)));
  EXPECT_EQ(0, memory.check(frames(24, 32)));
}

TEST(CheckRelease, TakesTouchingHeldRangesAsOne) {
  const ReleasedMemory memory({frames(16, 32), frames(32, 48), frames(64, 80)}, {}, kSave, false);
  EXPECT_EQ(0, memory.check(frames(24, 40)));
  EXPECT_EQ(-ERANGE, memory.check(frames(40, 72)));
}

TEST(Release, GivesABlockWithItsLastFrameOnly) {
  ReleasedMemory memory = two_blocks();
  ASSERT_EQ(0, memory.release(frames(16, 31)));
  EXPECT_FALSE(memory.layout().blocks[0].given);
  EXPECT_EQ(HADUMP_REGION_PARTIAL, memory.state_of(20));
  EXPECT_EQ(HADUMP_REGION_HELD, memory.state_of(31));
  EXPECT_EQ(32 * kTestFrame, hadump_held_bytes(&memory.layout()));
  ASSERT_EQ(0, memory.release(frames(31, 32)));
  EXPECT_TRUE(memory.layout().blocks[0].given);
  EXPECT_EQ(nullptr, memory.layout().blocks[0].asked);
  EXPECT_EQ(HADUMP_REGION_RELEASED, memory.state_of(20));
  EXPECT_EQ(16 * kTestFrame, hadump_held_bytes(&memory.layout()));
  EXPECT_EQ(32 * kTestFrame, hadump_first_held(&memory.layout()));
}

TEST(Release, CanBeRepeatedAsItWasWhenLinuxRefused) {
  ReleasedMemory memory = two_blocks();
  EXPECT_EQ(-ENOMEM, memory.release(frames(16, 48), [](std::size_t i) { return i == 0; }));
  EXPECT_TRUE(memory.layout().blocks[0].given);
  EXPECT_EQ(HADUMP_REGION_PARTIAL, memory.state_of(40)) << "asked for, but not back";
  EXPECT_EQ(-EALREADY, memory.check(frames(16, 32))) << "Linux has all of it";
  EXPECT_EQ(-EBUSY, memory.check(kSave));
  EXPECT_EQ(0, memory.release(frames(16, 48)));
  EXPECT_EQ(0U, hadump_held_bytes(&memory.layout()));
  EXPECT_EQ(-EALREADY, memory.check(frames(16, 48)));
}

// A saver that was started anew does not know the writes of the one before, only the listing.
TEST(Release, TakesAnyPieceOfABlockThatLinuxRefused) {
  ReleasedMemory memory({frames(16, 64)}, {}, kSave, false);
  const auto refuse = [](std::size_t) { return false; };
  EXPECT_EQ(-ENOMEM, memory.release(frames(16, 36), refuse));
  EXPECT_EQ(-ENOMEM, memory.release(frames(48, 64), refuse));
  ASSERT_EQ(0, memory.release(frames(36, 40))) << "a write in between";
  EXPECT_EQ(-EALREADY, memory.check(frames(32, 36))) << "not complete: nothing to try again";
  EXPECT_EQ(-ENOMEM, memory.release(frames(20, 21), refuse)) << "refused once more";
  ASSERT_EQ(0, memory.release(frames(20, 21)));
  EXPECT_TRUE(memory.layout().blocks[0].given);
  ASSERT_EQ(0, memory.release(frames(40, 64))) << "new and refused frames in one write";
  EXPECT_TRUE(memory.layout().blocks[1].given);
  EXPECT_TRUE(memory.layout().blocks[2].given);
  EXPECT_EQ(0, memory.release_save_area());
}

TEST(Release, RepeatsAWriteThatReachesIntoABlockThatIsNotComplete) {
  ReleasedMemory memory = two_blocks();
  EXPECT_EQ(-ENOMEM, memory.release(frames(16, 40), [](std::size_t) { return false; }));
  EXPECT_EQ(0, memory.release(frames(16, 40)));
  EXPECT_EQ(-EALREADY, memory.check(frames(16, 40)));
  EXPECT_EQ(0, memory.release(frames(40, 48)));
  EXPECT_EQ(0U, hadump_held_bytes(&memory.layout()));
}

TEST(Release, DoesNotTakeABlockWithoutMemoryForARefusedOne) {
  ReleasedMemory memory({frames(16, 48)}, {frames(32, 48)}, kSave, false);
  EXPECT_EQ(0, memory.release(frames(16, 32)));
  EXPECT_EQ(-EALREADY, memory.check(frames(16, 48)));
}

TEST(Release, NeedsNoAskingForHoles) {
  // Block [16, 32) has memory in [16, 20) only; block [32, 48) none.
  ReleasedMemory memory({frames(16, 48)}, {frames(20, 48)}, kSave, false);
  EXPECT_EQ(4 * kTestFrame, hadump_held_bytes(&memory.layout()));
  EXPECT_EQ(HADUMP_REGION_HOLE, memory.state_of(40));
  EXPECT_EQ(-EBUSY, memory.check(kSave));
  ASSERT_EQ(0, memory.release(frames(16, 24)));
  EXPECT_TRUE(memory.layout().blocks[0].given);
  EXPECT_FALSE(memory.layout().blocks[1].given);
  EXPECT_EQ(0, memory.release(frames(24, 32))) << "holes of a given block";
  EXPECT_EQ(0, memory.check(kSave)) << "the block without memory does not keep the dump";
  EXPECT_EQ(0, memory.release_save_area());
  EXPECT_TRUE(memory.layout().blocks[1].given);
}

TEST(Release, NeverGivesABlockThatIsNotAllOurs) {
  // As with blocks larger than the agent's: [16, 24) of [16, 32).
  ReleasedMemory memory({frames(16, 24)}, {}, kSave, false);
  ASSERT_EQ(0, memory.release(frames(16, 24)));
  EXPECT_FALSE(memory.layout().blocks[0].given);
  EXPECT_EQ(HADUMP_REGION_PARTIAL, memory.state_of(16));
  EXPECT_EQ(8 * kTestFrame, hadump_held_bytes(&memory.layout()));
  EXPECT_EQ(0, memory.check(kSave)) << "nothing more can be done for it";
}

TEST(Release, GivesARegisteredSaveAreaBackLast) {
  // The save area [40, 56) cuts the blocks [32, 48) and [48, 64).
  ReleasedMemory memory({frames(16, 40), frames(56, 64)}, {}, frames(40, 56), true);
  EXPECT_EQ(HADUMP_REGION_SAVE_AREA, memory.state_of(40));
  EXPECT_EQ(32 * kTestFrame, hadump_held_bytes(&memory.layout()));
  ASSERT_EQ(0, memory.release(frames(16, 40)));
  EXPECT_TRUE(memory.layout().blocks[0].given);
  EXPECT_FALSE(memory.layout().blocks[1].given);
  EXPECT_EQ(-EBUSY, memory.check(frames(40, 56)));
  EXPECT_EQ(-ERANGE, memory.check(frames(36, 44)));
  ASSERT_EQ(0, memory.release(frames(56, 64)));
  ASSERT_EQ(0, memory.release_save_area());
  for (u32 i = 0; i < memory.layout().nr_blocks; ++i)
    EXPECT_TRUE(memory.layout().blocks[i].given) << i;
  EXPECT_EQ(HADUMP_REGION_RELEASED, memory.state_of(45));
  EXPECT_EQ(-EALREADY, memory.check(frames(40, 56)));
}

std::vector<std::pair<u64, u64>> groups_of(const ReleasedMemory& memory) {
  std::vector<std::pair<u64, u64>> groups;
  for (u32 i = 0; i < memory.layout().nr_blocks; ++i) {
    const hadump_range range =
        hadump_group_range(&memory.layout(), hadump_group_of(&memory.layout(), i));
    groups.emplace_back(range.start / kTestFrame, range.end / kTestFrame);
  }
  return groups;
}

// The struct pages of a block take its first frame.
TEST(Group, IsOneBlockButForTheWholeBlocksOfARegisteredSaveArea) {
  // The save area [40, 84) cuts [32, 48), fills [48, 80), and ends in a block that is not all ours:
  // [33, 80), which is left without that, has 47 frames for the next 44.
  const ReleasedMemory memory({frames(16, 40), frames(96, 128)}, {}, frames(40, 84), true);
  EXPECT_EQ(groups_of(memory),
            (std::vector<std::pair<u64, u64>>{
                {16, 32}, {32, 48}, {48, 80}, {48, 80}, {80, 96}, {96, 112}, {112, 128}}));
}

TEST(Group, LeavesTheNextSaveAreaRoomAndNoMore) {
  struct Row {
    hadump_range save_area;
    std::vector<std::pair<u64, u64>> groups;
    const char* why;
  };
  const Row rows[] = {
      {frames(16, 48), {{16, 48}, {16, 48}, {48, 64}, {64, 80}}, "no frame to spare"},
      {frames(17, 48), {{16, 32}, {32, 48}, {48, 64}, {64, 80}}, "the first block has its own"},
      {frames(20, 50), {{16, 32}, {32, 48}, {48, 64}, {64, 80}}, "so has the last: not needed"},
      {frames(20, 51), {{16, 32}, {32, 48}, {48, 64}, {64, 80}}, "31 frames in [17, 48)"},
      {frames(20, 52), {{16, 32}, {32, 64}, {32, 64}, {64, 80}}, "32 frames do not fit there"},
      {frames(20, 28), {{16, 32}, {32, 48}, {48, 64}, {64, 80}}, "in one block"},
      {frames(16, 32), {{16, 32}, {32, 48}, {48, 64}, {64, 80}}, "one block, all of it"},
  };
  for (const Row& row : rows) {
    std::vector<hadump_range> held;
    if (row.save_area.start > 16 * kTestFrame)
      held.push_back({16 * kTestFrame, row.save_area.start});
    held.push_back({row.save_area.end, 80 * kTestFrame});
    const ReleasedMemory memory(held, {}, row.save_area, true);
    EXPECT_EQ(groups_of(memory), row.groups) << row.why;
    // Property: the longest stretch of the area's blocks without struct pages has room for it.
    u64 stretch = 0;
    u64 longest = 0;
    for (u32 i = 0; i < memory.layout().nr_blocks; ++i) {
      const hadump_block& block = memory.layout().blocks[i];
      if (!hadump_is_uncut(&memory.layout(), i)) stretch = 0;
      stretch += block.end - block.start;
      if (!hadump_is_uncut(&memory.layout(), i)) stretch -= kTestFrame;
      longest = std::max(longest, stretch);
    }
    EXPECT_GE(longest, row.save_area.end - row.save_area.start) << row.why;
  }
}

TEST(Group, IsGivenAsAWholeOrNotAtAll) {
  ReleasedMemory memory({frames(16, 40), frames(72, 96)}, {}, frames(40, 72), true);
  ASSERT_EQ(0, memory.release(frames(16, 40)));
  ASSERT_EQ(0, memory.release(frames(72, 96)));
  std::vector<std::size_t> tried;
  const auto refuse = [&](std::size_t i) {
    tried.push_back(i);
    return false;
  };
  EXPECT_EQ(-ENOMEM, memory.release_save_area(refuse));
  EXPECT_EQ((std::vector<std::size_t>{2, 1}), tried)
      << "first what must be one piece, named by its first block";
  EXPECT_FALSE(memory.layout().save_released);
  EXPECT_EQ(-ENOMEM, memory.release(frames(74, 75), refuse)) << "its last block, once more";
  EXPECT_EQ((std::vector<std::size_t>{2, 1, 2}), tried);
  ASSERT_EQ(0, memory.release_save_area());
  for (u32 i = 0; i < memory.layout().nr_blocks; ++i)
    EXPECT_TRUE(memory.layout().blocks[i].given) << i;
}

}  // namespace
}  // namespace hadump
