// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/capture_limit.h"

#include <gmock/gmock.h>

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kDayMs = 86400ULL * 1000;
constexpr std::uint64_t kNow = kEarliestClockMs + 2000 * kDayMs;

std::vector<EndedCapture> three() {
  return {{"old", kNow - 30 * kDayMs, 100},
          {"new", kNow - kDayMs, 100},
          {"middle", kNow - 10 * kDayMs, 100}};
}

TEST(CaptureLimits, WithoutOneAllAreKept) {
  EXPECT_FALSE(CaptureLimits().any());
  EXPECT_THAT(captures_to_discard(three(), {}, kNow), IsEmpty());
}

TEST(CaptureLimits, TheOldestGoFirst) {
  EXPECT_THAT(captures_to_discard(three(), {.max_count = 1}, kNow), ElementsAre("old", "middle"));
  EXPECT_THAT(captures_to_discard(three(), {.max_count = 2}, kNow), ElementsAre("old"));
  EXPECT_THAT(captures_to_discard(three(), {.max_bytes = 200}, kNow), ElementsAre("old"));
  EXPECT_THAT(captures_to_discard(three(), {.max_age_days = 10}, kNow),
              ElementsAre("old", "middle"));
  EXPECT_THAT(captures_to_discard(three(), {.max_age_days = 11}, kNow), ElementsAre("old"));
}

TEST(CaptureLimits, TheNewestIsAlwaysKept) {
  EXPECT_THAT(captures_to_discard(three(), {.max_bytes = 1, .max_age_days = 1}, kNow),
              ElementsAre("old", "middle"));
  EXPECT_THAT(captures_to_discard({}, {.max_count = 1}, kNow), IsEmpty());
}

// A clock that was set back does not make anything old.
TEST(CaptureLimits, WhatIsOfTheFutureIsNotOld) {
  EXPECT_THAT(captures_to_discard(three(), {.max_age_days = 1}, 0), IsEmpty());
}

// A host without a battery begins in 1970, and an NTP server sets its clock then.
TEST(CaptureLimits, WhatWasWrittenByAClockThatWasNotSetIsNeverDiscarded) {
  std::vector<EndedCapture> captures = three();
  captures.push_back({"of 1970", 5 * kDayMs, 100});
  captures.push_back({"of the future", kNow + kDayMs, 100});
  EXPECT_THAT(captures_to_discard(captures, {.max_age_days = 1000}, kNow), IsEmpty());
  EXPECT_THAT(captures_to_discard(captures, {.max_age_days = 11}, kNow), ElementsAre("old"));
  EXPECT_THAT(captures_to_discard(captures, {.max_count = 4}, kNow), ElementsAre("old"))
      << "they count";
  EXPECT_THAT(captures_to_discard(captures, {.max_count = 1}, kNow), ElementsAre("old", "middle"))
      << "but nobody knows that they are older";
  EXPECT_THAT(captures_to_discard(captures, {.max_count = 1}, 6 * kDayMs), IsEmpty());
}

TEST(CaptureLimits, AreReadFromTheConfiguration) {
  CaptureLimits limits;
  EXPECT_TRUE(limits.set("max-count", "5"));
  EXPECT_TRUE(limits.set("max-size", "2G"));
  EXPECT_TRUE(limits.set("max-age", "30"));
  EXPECT_EQ(limits.max_count, 5U);
  EXPECT_EQ(limits.max_bytes, 2ULL << 30);
  EXPECT_EQ(limits.max_age_days, 30U);
  EXPECT_FALSE(limits.set("max-age", "40000"));
  EXPECT_FALSE(limits.set("max-count", "few"));
  EXPECT_FALSE(limits.set("max-color", "1"));
}

}  // namespace
}  // namespace hadump
