// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that writes faster than it is copied gets less processor time, and has its own again
// whatever happens.
#include <gmock/gmock.h>

#include "tests/unit/hv/capture/live_copy_fixture.h"

namespace hadump {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

/// With all its time it writes to all of its ring between two looks, and a stop may copy less than
/// half of that.
class LiveThrottleTest : public LiveCopyTest {
 protected:
  LiveThrottleTest() {
    limits_.if_busy = IfBusy::kThrottle;
    limits_.max_stop = 30us;
    per_mapping_ = 1us;
    writes_per_call_ = 1;
  }
  void has_cap(unsigned percent) {
    own_cap_ = percent;
    resident_->cpu_share.admin_sets(percent);
  }
  std::vector<std::string> caps_set() const {
    std::vector<std::string> set;
    for (const std::string& what : resident_->history)
      if (what.starts_with("set_cap")) set.push_back(what);
    return set;
  }
};

TEST_F(LiveThrottleTest, WithLessTimeItIsStoppedInTime) {
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  expect_one_instant();
  expect_free();
  EXPECT_LE(done->stopped, limits_.max_stop);
  EXPECT_THAT(caps_set(), ElementsAre("set_cap 25", "set_cap 10", "set_cap 0"));
  EXPECT_EQ(done->throttled, (CapChange{.before = 0, .set = {25, 10}}));
  EXPECT_GT(done->throttled_for, 0us);
  EXPECT_THAT(caps_, ElementsAre(CapChange{.before = 0, .set = {25}},
                                 CapChange{.before = 0, .set = {25, 10}}, std::nullopt));
  EXPECT_THAT(infos_, Contains(HasSubstr("used 100 % of a processor; it gets 25 % until")));
  EXPECT_THAT(infos_.back(), HasSubstr("it has no cap again"));
  EXPECT_FALSE(is_left_to_repair_);
}

TEST_F(LiveThrottleTest, AnAdminsCapIsWhatItHasAgain) {
  has_cap(80);
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  expect_free();
  EXPECT_THAT(caps_set(), ElementsAre("set_cap 38", "set_cap 12", "set_cap 80"));
  EXPECT_THAT(infos_.back(), HasSubstr("it has a cap of 80 % again"));
}

TEST_F(LiveThrottleTest, OneThatIsNotBusyKeepsItsTime) {
  writes_per_call_ = 0;
  for (int i = 0; i < 100; ++i) write_next();
  ASSERT_TRUE(copy());
  EXPECT_THAT(caps_set(), IsEmpty());
  EXPECT_THAT(caps_, IsEmpty());
}

TEST_F(LiveThrottleTest, WhoIsToBeStoppedForLongerIsNot) {
  limits_.if_busy = IfBusy::kStopLonger;
  ASSERT_TRUE(copy());
  EXPECT_THAT(caps_set(), IsEmpty());
  EXPECT_EQ(calls_["look_at_share"], 0);
}

// The dump is not lost, and what the stop takes is said before.
TEST_F(LiveThrottleTest, WhenTheLeastIsTooMuchItIsStoppedForLonger) {
  writes_per_call_ = 1000;
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  expect_one_instant();
  expect_free();
  EXPECT_GT(done->stopped, limits_.max_stop);
  EXPECT_THAT(caps_set(), ElementsAre("set_cap 25", "set_cap 10", "set_cap 0"));
  EXPECT_EQ(done->throttled.set.back(), 10U) << "5 % for each of its two vCPUs";
  EXPECT_THAT(infos_, Contains(HasSubstr("would be of no use")));
  EXPECT_THAT(infos_, Contains(HasSubstr("it is stopped for about")));
}

TEST_F(LiveThrottleTest, ItEndsInTime) {
  limits_.throttled_time = 1us;
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_THAT(caps_set(), ElementsAre("set_cap 25", "set_cap 0"));
  EXPECT_GT(done->stopped, limits_.max_stop);
}

// What is granted is copied in each stop.
TEST_F(LiveThrottleTest, WhereItIsNoUseItIsNotDone) {
  for (std::uint64_t gfn = 3000; gfn < 3040; gfn += 2) resident_->dirty_log.grant(Gfn{gfn});
  limits_.max_stop = 20us;
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_THAT(caps_set(), IsEmpty());
  EXPECT_GT(done->stopped, limits_.max_stop);
}

TEST_F(LiveThrottleTest, WithoutACapItIsStoppedForLonger) {
  resident_->cpu_share.on_call([](const std::string& what) -> Result<> {
    if (what == "set_cap") return fail(ErrorCode::kOs, "Xen refuses");
    return {};
  });
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  expect_one_instant();
  expect_free();
  EXPECT_THAT(infos_, Contains(HasSubstr("Xen refuses")));
  EXPECT_EQ(caps_.back(), std::nullopt);
}

TEST_F(LiveThrottleTest, WhatAnAdminSetsMeanwhileStays) {
  passed_ = [this](std::string_view step) {
    if (step == "throttled") resident_->cpu_share.admin_sets(own_cap_ = 60);
  };
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  expect_one_instant();
  expect_free();
  EXPECT_THAT(caps_set(), ElementsAre("set_cap 25"));
  EXPECT_THAT(infos_, Contains(HasSubstr("somebody else has given the guest a cap of 60 %")));
  EXPECT_THAT(infos_.back(), HasSubstr("somebody else's by now"));
}

TEST_F(LiveThrottleTest, EveryFailureLeavesItItsTime) {
  has_cap(80);
  ASSERT_TRUE(copy());
  const auto all = calls_;
  for (const auto& [name, count] : all)
    for (int nth = 1; nth <= std::min(count, 400); nth += nth < 6 ? 1 : 37) {
      SCOPED_TRACE(name + " " + std::to_string(nth));
      fail_call(name, nth);
      static_cast<void>(copy());
      expect_free();
      EXPECT_FALSE(is_left_to_repair_);
    }
}

// Xen refuses what it did not before.
TEST_F(LiveThrottleTest, WhatCannotBeGivenBackIsLeftToRepair) {
  has_cap(80);
  bool refuses = false;
  resident_->cpu_share.on_call([&](const std::string& what) -> Result<> {
    if (what != "set_cap") return {};
    if (refuses) return fail(ErrorCode::kOs, "Xen refuses");
    refuses = true;
    return {};
  });
  const auto done = copy();
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().what(), HasSubstr("processor time back: Xen refuses"));
  EXPECT_TRUE(is_left_to_repair_);
  EXPECT_LT(resident_->cpu_share.cap(), 80U);
  ASSERT_TRUE(caps_.back());
  EXPECT_FALSE(repair_live(*open_, false, caps_.back()));
  refuses = false;
  ASSERT_TRUE(repair_live(*open_, false, caps_.back()));
  expect_free();
}

TEST_F(LiveThrottleTest, AnInterruptedOneIsRepaired) {
  has_cap(80);
  for (const char* call : {"note_cap", "set_cap", "look_at_share", "take_log", "pause", "unpause"})
    for (const bool is_admin_quicker : {false, true}) {
      SCOPED_TRACE(call);
      passed_ = [&, call](std::string_view step) {
        if (step == "throttled") kill_at_ = call;
      };
      if (call == std::string("set_cap") || call == std::string("note_cap")) kill_at_ = call;
      EXPECT_THROW(static_cast<void>(copy()), Killed);
      kill_at_.clear();
      dead_ = false;
      if (is_admin_quicker) has_cap(33);
      const auto noted = caps_.empty() ? std::nullopt : caps_.back();
      for (const char* again : {"", "again"}) {
        ASSERT_TRUE(repair_live(*open_, !notes_.empty() && notes_.back(), noted)) << again;
        expect_free();
      }
      notes_.clear();
      caps_.clear();
      has_cap(80);
    }
}

// A domain that has gone, or is in a CPU pool without caps, has nothing that is to be given back.
TEST_F(LiveThrottleTest, WhatIsNotThereIsNotRepaired) {
  const CapChange change{.before = 80, .set = {20}};
  resident_->cpu_share.set_unsupported();
  EXPECT_FALSE(restore_cap(resident_->cpu_share, change).value());
  resident_->cpu_share.on_call(
      [](const std::string&) -> Result<> { return fail(ErrorCode::kNotFound, "no such domain"); });
  EXPECT_FALSE(restore_cap(resident_->cpu_share, change).value());
}

// It was set in steps, and the last one was noted only.
TEST_F(LiveThrottleTest, EachOfOurCapsIsTakenBack) {
  for (const unsigned cap : {20U, 10U}) {
    resident_->cpu_share.admin_sets(cap);
    EXPECT_TRUE(restore_cap(resident_->cpu_share, {.before = 80, .set = {20, 10}}).value());
    EXPECT_EQ(resident_->cpu_share.cap(), 80U);
  }
}

TEST(LowerCap, GoesByWhatItHasWritten) {
  const CpuUse free{.cap_percent = 0, .used = {}, .vcpus = 2};
  EXPECT_EQ(lower_cap(free, 200, 0.6), 60U) << "half of what would just do";
  EXPECT_EQ(lower_cap(free, 200, 0.001), 50U) << "at most three quarters less";
  EXPECT_EQ(lower_cap(free, 200, 10), 150U) << "at least one quarter less";
  EXPECT_EQ(lower_cap(free, 30, 0.001), 10U) << "5 % for each vCPU";
  EXPECT_EQ(lower_cap(free, 10, 0.001), std::nullopt) << "and it has no more than that";
  EXPECT_EQ(lower_cap(free, 0, 0.5), std::nullopt);
  const CpuUse capped{.cap_percent = 40, .used = {}, .vcpus = 1};
  EXPECT_EQ(lower_cap(capped, 60, 1), 20U) << "what it had above its cap was an exception";
  EXPECT_EQ(lower_cap(capped, 20, 1), 10U);
}

}  // namespace
}  // namespace hadump
