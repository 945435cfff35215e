// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "hv/domain/dirty_log.h"

namespace hadump {

/// What every DirtyLog must do, as far as a domain shows it that writes only when it is told to.
/// @param end    of the domain's memory. @param write  makes a vCPU write to a frame; may be empty
///               where nobody can.
inline void check_dirty_log_contract(DirtyLog& log, Gfn end,
                                     const std::function<void(Gfn)>& write) {
  ASSERT_TRUE(log.stop()) << "one that is not on";
  auto started = log.start(end, 0);
  ASSERT_TRUE(started) << started.error().what();
  EXPECT_EQ(log.start(end, 0).error().code(), ErrorCode::kBusy) << "there is one for each domain";
  ASSERT_TRUE(log.take(false));
  const auto unlogged = log.unlogged();
  ASSERT_TRUE(unlogged) << unlogged.error().what();
  if (write) {
    const Gfn written{end.value / 2};
    write(written);
    auto taken = log.take(false);
    ASSERT_TRUE(taken) << taken.error().what();
    EXPECT_EQ(*taken, (FrameSet{{written, Gfn{written.value + 1}}}));
  }
  const auto rest = log.take(true);
  ASSERT_TRUE(rest) << rest.error().what();
  EXPECT_TRUE(rest->intersection(FrameRange{end, Gfn{end.value + (1U << 20)}}).empty());
  ASSERT_TRUE(log.stop());
  ASSERT_TRUE(log.stop()) << "again is no error";
  ASSERT_TRUE(log.start(end, 0)) << "and it can be begun anew";
  ASSERT_TRUE(log.stop());
}

}  // namespace hadump
