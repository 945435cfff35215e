// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/window_size.h"

#include <gmock/gmock.h>

#include <random>

#include "core/abi/hadump_abi.h"
#include "core/base/units.h"
#include "hv/domain/pvh_guest.h"
#include "hv/rescue/window_plan.h"

namespace hadump {
namespace {

using testing::HasSubstr;

std::uint64_t window_of(const BootNeed& need, std::uint64_t most = kMostWindow) {
  return choose_window(need, most).bytes;
}

TEST(ChooseWindow, IsWhatTheBootTookAndAMargin) {
  // A quarter more than 64 MiB for the kernel, 2 MiB for its vCPU, and what it took; and the saver.
  const BootNeed small{.memory = 4_GiB, .ramdisk = 0, .measured = 60_MiB};
  EXPECT_EQ(window_of(small), 256_MiB);
  EXPECT_EQ(window_of({.memory = 4_GiB, .ramdisk = 40_MiB, .measured = 160_MiB}), 384_MiB);
  EXPECT_EQ(window_of({.memory = 4_GiB, .ramdisk = 40_MiB, .measured = 500_MiB}), 896_MiB);
  EXPECT_EQ(window_of({.memory = 64_GiB, .ramdisk = 0, .measured = 60_MiB, .vcpus = 128}), 512_MiB);
  EXPECT_THAT(choose_window(small, kMostWindow).why, HasSubstr("60 MiB"));
}

TEST(ChooseWindow, GoesByTheInitrdUntilTheBootHasBeenMeasured) {
  EXPECT_EQ(window_of({.memory = 4_GiB}), 256_MiB);
  EXPECT_EQ(window_of({.memory = 4_GiB, .ramdisk = 120_MiB}), 896_MiB);
  EXPECT_THAT(choose_window({.memory = 4_GiB}, kMostWindow).why, HasSubstr("initrd"));
}

TEST(ChooseWindow, HasALimitAndSaysSo) {
  const BootNeed need{.memory = 64_GiB, .ramdisk = 40_MiB, .measured = 30_GiB};
  EXPECT_EQ(window_of(need), 1_GiB);
  EXPECT_EQ(window_of(need, 2_GiB), 2_GiB);
  EXPECT_EQ(window_of(need, 128_MiB), 128_MiB) << "the admin's word";
  EXPECT_THAT(choose_window(need, 2_GiB).why, HasSubstr("window-max"));
}

TEST(ChooseWindow, LeavesABlockToHoldWhereThatIsEnough) {
  const BootNeed large{.memory = 512_MiB, .ramdisk = 40_MiB, .measured = 300_MiB};
  EXPECT_EQ(window_of(large), 384_MiB);
  EXPECT_THAT(choose_window(large, kMostWindow).why, HasSubstr("no more"));
  EXPECT_EQ(window_of({.memory = 300_MiB, .ramdisk = 2_MiB, .measured = 8_MiB}), 128_MiB);
  EXPECT_EQ(window_of({.memory = 300_MiB, .ramdisk = 40_MiB, .measured = 160_MiB}), 384_MiB)
      << "what it would need, for the note that it has too little";
}

TEST(ChooseWindow, LeavesRoomForACopyThatTheGuestReserves) {
  BootNeed need{.memory = 704_MiB, .ramdisk = 26_MiB, .reserves_copy = true};
  EXPECT_EQ(window_of(need), 256_MiB);
  EXPECT_THAT(choose_window(need, kMostWindow).why, HasSubstr("room for the save area"));
  need.memory = 1_GiB;
  EXPECT_EQ(window_of(need), 384_MiB);
  need.reserves_copy = false;
  need.memory = 704_MiB;
  EXPECT_EQ(window_of(need), 384_MiB);
}

// The guest says what it likes, and the file is what an admin put there.
TEST(ChooseWindow, CanBePlannedWhateverIsClaimed) {
  std::mt19937_64 random(1);
  const auto any = [&](unsigned bits) { return random() >> (64 - 1 - random() % bits); };
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t most = (1 + random() % 64) * HADUMP_BLOCK_SIZE;
    BootNeed need{.memory = (64 + any(22)) << 20,
                  .ramdisk = any(63),
                  .measured = any(63),
                  .vcpus = static_cast<unsigned>(1 + random() % 512),
                  .reserves_copy = random() % 2 == 0};
    const std::uint64_t window = window_of(need, most);
    ASSERT_GT(window, 0U);
    ASSERT_LE(window, most);
    ASSERT_TRUE(is_aligned(window, HADUMP_BLOCK_SIZE));
    if (need.memory >= 384_MiB) {
      const auto ram = pvh_ram(need.memory);
      ASSERT_TRUE(ram && plan_window(*ram, window)) << (need.memory >> 20) << ' ' << (window >> 20);
    }
    const std::uint64_t before = window;
    need.measured = need.measured == 0 ? 0 : need.measured + need.measured / 2;
    ASSERT_GE(window_of(need, most), before) << "more is taken, and the window is smaller";
  }
}

FrameSet ram_of_size(std::uint64_t bytes) {
  return {frames_of_bytes(0, bytes)};
}

TEST(LargerWindow, IsTwiceAsLarge) {
  EXPECT_EQ(larger_window(ram_of_size(4_GiB), 256_MiB, 256_MiB, kMostWindow), 512_MiB);
  EXPECT_EQ(larger_window(ram_of_size(4_GiB), 256_MiB, 896_MiB, kMostWindow), 896_MiB)
      << "the first was as small as that since the host had no more room";
}

TEST(LargerWindow, HasALimitAndLeavesABlockToHold) {
  EXPECT_EQ(larger_window(ram_of_size(4_GiB), 768_MiB, 256_MiB, kMostWindow), 1_GiB);
  EXPECT_EQ(larger_window(ram_of_size(4_GiB), 1_GiB, 256_MiB, kMostWindow), 0U);
  EXPECT_EQ(larger_window(ram_of_size(4_GiB), 256_MiB, 256_MiB, 128_MiB), 0U);
  EXPECT_EQ(larger_window(ram_of_size(64_GiB), 2_GiB, 2_GiB, 16_GiB), 3_GiB);
  EXPECT_EQ(larger_window(ram_of_size(513_MiB), 256_MiB, 256_MiB, kMostWindow), 384_MiB);
  EXPECT_EQ(larger_window(ram_of_size(385_MiB), 256_MiB, 256_MiB, kMostWindow), 0U);
}

}  // namespace
}  // namespace hadump
