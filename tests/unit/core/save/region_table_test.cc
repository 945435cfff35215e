// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/region_table.h"

#include <gmock/gmock.h>

#include "tests/unit/core/save/sample_regions.h"

namespace hadump {
namespace {

TEST(RegionTable, ReadsEveryState) {
  const auto table = RegionTable::parse(kSampleRegions);
  ASSERT_TRUE(table) << table.error().what();
  EXPECT_EQ(table->regions().size(), 6U);
  EXPECT_EQ(table->bytes_in_state(RegionState::kHeld), 128_MiB);
  EXPECT_EQ(table->bytes_in_state(RegionState::kPartial), kFrameSize);
  EXPECT_EQ(table->regions()[5], (Region{frames_of_bytes(4_GiB, 256_MiB), RegionState::kSaveArea}));
}

TEST(RegionTable, RefusesWhatTheModuleWouldNotSay) {
  for (const char* bad :
       {"0x0 0x1000\n", "0x0 0x1000 \n", "0x0 0x1000 mine\n", "0x1000 0x0 held\n", "0x0 0x0 held\n",
        "0x0 0x1001 held\n", "x y held\n", "\n", "0x0  0x1000 held\n",
        "0x0 0x2000 held\n0x1000 0x3000 held\n", "0x4000 0x5000 held\n0x0 0x1000 held\n"})
    EXPECT_FALSE(RegionTable::parse(bad)) << bad;
}

}  // namespace
}  // namespace hadump
