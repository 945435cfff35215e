// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/lost_frames.h"

#include <gtest/gtest.h>

namespace hadump {
namespace {

TEST(WithFewerRanges, LeavesWhatIsSmallEnough) {
  const FrameSet set{{Gfn{1}, Gfn{2}}, {Gfn{3}, Gfn{4}}};
  EXPECT_EQ(with_fewer_ranges(set, 2), set);
  EXPECT_EQ(with_fewer_ranges({}, 1), FrameSet{});
}

TEST(WithFewerRanges, ClosesTheSmallestGapsFirst) {
  const FrameSet set{
      {Gfn{0}, Gfn{1}}, {Gfn{2}, Gfn{3}}, {Gfn{10}, Gfn{11}}, {Gfn{1000}, Gfn{1001}}};
  EXPECT_EQ(with_fewer_ranges(set, 3),
            (FrameSet{{Gfn{0}, Gfn{3}}, {Gfn{10}, Gfn{11}}, {Gfn{1000}, Gfn{1001}}}));
  EXPECT_EQ(with_fewer_ranges(set, 2), (FrameSet{{Gfn{0}, Gfn{11}}, {Gfn{1000}, Gfn{1001}}}));
  EXPECT_EQ(with_fewer_ranges(set, 1), (FrameSet{{Gfn{0}, Gfn{1001}}}));
}

TEST(WithFewerRanges, KeepsEveryFrameWhenEveryOtherOneIsLost) {
  FrameSet set;
  for (std::uint64_t gfn = 0; gfn < 4096; gfn += 2) set.insert({Gfn{gfn}, Gfn{gfn + 1}});
  const FrameSet fewer = with_fewer_ranges(set, 100);
  EXPECT_LE(fewer.ranges().size(), 100U);
  EXPECT_EQ(fewer.intersection(set), set);
}

}  // namespace
}  // namespace hadump
