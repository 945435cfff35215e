// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/live_plan.h"

#include <gtest/gtest.h>

namespace hadump {
namespace {

using namespace std::chrono_literals;

LivePass pass_of(std::uint64_t frames, std::uint64_t written) {
  return {.frames = frames, .copied_in = 10ms, .written = written, .lasted = 20ms};
}

// A plan that has been through everything once; a frame takes 1 us in a stop, the rest 500 us.
LivePlan begun(const LiveLimits& limits = {}) {
  LivePlan plan(limits);
  plan.add(pass_of(1000000, 100000));
  plan.measured(1000, 1ms, 500us);
  return plan;
}

TEST(LivePlan, TheFirstPassIsOverEverything) {
  EXPECT_EQ(LivePlan({}).next(1), LiveStep::kPass) << "nothing of the rest has been copied yet";
}

TEST(LivePlan, StopsWhenTheRestFitsIntoTheBudget) {
  const LivePlan plan = begun();
  EXPECT_EQ(plan.stop_time(4500), 5ms);
  EXPECT_EQ(plan.next(4500), LiveStep::kStop);
  EXPECT_EQ(plan.next(4501), LiveStep::kPass);
}

TEST(LivePlan, PassesGoOnWhileTheyPay) {
  LivePlan plan = begun();
  std::uint64_t left = 1000000;
  for (int i = 0; i < 10; ++i) {
    const std::uint64_t written = left * 8 / 10;
    plan.add(pass_of(left, written));
    left = written;
    EXPECT_EQ(plan.next(left), LiveStep::kPass) << i;
  }
}

TEST(LivePlan, AGuestThatNeverWritesLessIsWhatTheLimitsSay) {
  for (const auto& [choice, step] : {std::pair{IfBusy::kStopLonger, LiveStep::kStopLonger},
                                     std::pair{IfBusy::kGiveUp, LiveStep::kGiveUp}}) {
    LivePlan plan = begun({.if_busy = choice});
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(plan.next(90000), LiveStep::kPass) << "a burst is no reason";
      plan.add(pass_of(90000, 90000));
    }
    EXPECT_EQ(plan.next(90000), step);
    EXPECT_EQ(plan.next(100), LiveStep::kStop) << "and it may become idle after all";
  }
}

// Three times as it is, and then once with each cap.
TEST(LivePlan, AGuestThatIsToBeSlowedDownGetsAPassForEachStep) {
  LivePlan plan = begun({.if_busy = IfBusy::kThrottle});
  for (int i = 0; i < 3; ++i) plan.add(pass_of(90000, 90000));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(plan.next(90000), LiveStep::kThrottle) << i;
    plan.add_throttled(true);
    EXPECT_EQ(plan.next(90000), LiveStep::kPass) << i;
    plan.add(pass_of(90000, 90000));
  }
  plan.add_throttled(true);
  plan.add(pass_of(90000, 20000));
  EXPECT_EQ(plan.next(20000), LiveStep::kPass) << "it helps";
  EXPECT_EQ(plan.next(100), LiveStep::kStop);
  plan.add(pass_of(20000, 20000));
  EXPECT_EQ(plan.next(20000), LiveStep::kThrottle);
  plan.add_throttled(false);
  EXPECT_EQ(plan.next(20000), LiveStep::kStopLonger) << "the dump is not lost";
}

TEST(LivePlan, AThrottledGuestIsNotSoForLong) {
  LivePlan plan = begun({.if_busy = IfBusy::kThrottle, .throttled_time = 50ms});
  for (int i = 0; i < 3; ++i) plan.add(pass_of(90000, 90000));
  for (int i = 0; i < 2; ++i) {
    plan.add_throttled(true);
    plan.add(pass_of(90000, 40000));
    EXPECT_EQ(plan.next(40000), LiveStep::kPass) << "40 ms";
  }
  EXPECT_TRUE(plan.begin_again());
  plan.add(pass_of(90000, 40000));
  EXPECT_EQ(plan.next(40000), LiveStep::kStopLonger) << "60 ms, a new beginning or not";
}

// All passes that it may have, and no pass in vain.
TEST(LivePlan, OneThatTakesTooManyPassesIsSlowedDownToo) {
  LivePlan plan = begun({.if_busy = IfBusy::kThrottle, .passes = 2});
  plan.add(pass_of(90000, 70000));
  EXPECT_EQ(plan.next(70000), LiveStep::kThrottle);
  plan.add_throttled(true);
  EXPECT_EQ(plan.next(70000), LiveStep::kPass);
}

TEST(LivePlan, KnowsWhatAStopMayCopy) {
  EXPECT_EQ(begun().frames_within_budget(), 4500U);
  EXPECT_EQ(begun({.max_stop = 400us}).frames_within_budget(), 0U);
  EXPECT_GT(LivePlan({}).frames_within_budget(), 1U << 30) << "nothing was measured";
}

TEST(LivePlan, ABurstBetweenPassesIsForgiven) {
  LivePlan plan = begun();
  for (int i = 0; i < 9; ++i) {
    plan.add(pass_of(90000, i % 3 == 2 ? 10000 : 90000));
    EXPECT_EQ(plan.next(90000), LiveStep::kPass) << i;
  }
}

TEST(LivePlan, EndsAtItsLimitsOfPassesAndTime) {
  LivePlan plan = begun({.passes = 3});
  plan.add(pass_of(100000, 50000));
  EXPECT_EQ(plan.next(50000), LiveStep::kPass);
  plan.add(pass_of(50000, 30000));
  EXPECT_EQ(plan.next(30000), LiveStep::kStopLonger);

  LivePlan slow = begun({.time = 30ms});
  slow.add(pass_of(100000, 50000));
  EXPECT_EQ(slow.next(50000), LiveStep::kPass) << "the first pass takes as long as it takes";
  slow.add(pass_of(50000, 30000));
  EXPECT_EQ(slow.next(30000), LiveStep::kStopLonger);
}

// The prediction was wrong so often that another one is worth nothing.
TEST(LivePlan, StopsThatWereTakenBackCount) {
  LivePlan plan = begun({.if_busy = IfBusy::kGiveUp});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(plan.next(100), LiveStep::kStop);
    plan.add_taken_back();
  }
  EXPECT_EQ(plan.next(100), LiveStep::kGiveUp);
}

TEST(LivePlan, WordsAreReadAsTheyAreWritten) {
  for (const IfBusy choice : {IfBusy::kStopLonger, IfBusy::kThrottle, IfBusy::kGiveUp})
    EXPECT_EQ(parse_if_busy(to_string(choice)), choice);
  EXPECT_EQ(if_busy_words(), "stop-longer, throttle or give-up");
  EXPECT_FALSE(parse_if_busy("wait"));
  EXPECT_DOUBLE_EQ(pass_of(1, 100).dirty_rate(), 5000);
}

}  // namespace
}  // namespace hadump
