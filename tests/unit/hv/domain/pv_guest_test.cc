// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/pv_guest.h"

#include <gtest/gtest.h>

#include "core/abi/hadump_abi.h"

namespace hadump {
namespace {

TEST(PvGuest, ItsFramesAreNumberedFromZeroAndMayHaveHoles) {
  EXPECT_EQ(*pv_ram(512_MiB), (FrameSet{FrameRange{Gfn{0}, Gfn{0x120000}}}));
}

TEST(PvGuest, HasLimits) {
  EXPECT_FALSE(pv_ram(0));
  EXPECT_FALSE(pv_ram(512_MiB + 1));
  EXPECT_FALSE(pv_ram(HADUMP_MAX_ADDRESS));
}

TEST(PvGuest, IsCopiedOnly) {
  EXPECT_FALSE(kPvGuest.boots_in_place);
  EXPECT_FALSE(kPvGuest.keeps_memory.empty());
}

}  // namespace
}  // namespace hadump
