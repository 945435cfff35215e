// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include "hv/domain/cpu_share.h"

namespace hadump {

/// What every CpuShare must do. Leaves the cap as it was.
inline void check_cpu_share_contract(CpuShare& share) {
  const auto before = share.look();
  ASSERT_TRUE(before) << before.error().what();
  for (const unsigned percent : {50U, 7U, 1U, 0U, 20U}) {
    const auto done = share.set_cap(percent);
    ASSERT_TRUE(done) << percent << ": " << done.error().what();
    const auto now = share.look();
    ASSERT_TRUE(now) << now.error().what();
    EXPECT_EQ(now->cap_percent, percent);
    EXPECT_EQ(now->vcpus, before->vcpus);
    EXPECT_GE(now->used, before->used);
  }
  EXPECT_EQ(share.set_cap(1U << 16).error().code(), ErrorCode::kOs) << "Xen's are of 16 bits";
  EXPECT_EQ(share.look().value().cap_percent, 20U) << "and what was refused changes nothing";
  ASSERT_TRUE(share.set_cap(before->cap_percent));
}

}  // namespace hadump
