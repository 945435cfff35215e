// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that writes between any two calls: what was copied of it must be what it was at one
// instant.
#include <gmock/gmock.h>

#include "tests/unit/hv/capture/live_copy_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

TEST_F(LiveCopyTest, IsOfOneInstantHoweverMuchIsWrittenMeanwhile) {
  for (const unsigned writes : {1U, 3U, 20U, 200U}) {
    SCOPED_TRACE(writes);
    writes_per_call_ = writes;
    limits_.max_stop = 1s;
    const auto done = copy();
    ASSERT_TRUE(done) << done.error().what();
    expect_one_instant();
    expect_free();
    EXPECT_EQ(vcpus_.size(), 2U);
    EXPECT_EQ(done->passes.front().frames, kAll);
    EXPECT_EQ(notes_, (std::vector{true, false}));
    notes_.clear();
  }
}

// What log-dirty alone would give.
TEST_F(LiveCopyTest, WithoutTheGrantedFramesItIsTorn) {
  resident_->dirty_log.hide_grants();
  limits_.max_stop = 1s;
  ASSERT_TRUE(copy());
  std::uint64_t newest = 0;
  for (std::uint64_t i = 0; i < kRing; ++i) newest = std::max(newest, in_image(frame_of_number(i)));
  EXPECT_LT(in_image(Gfn{kGranted}), newest);
}

// The same check on a copy that nobody has stopped the guest for.
TEST_F(LiveCopyTest, WithoutTheStopItIsTorn) {
  // Here the guest runs on in the stop: the fake counts no pause.
  passed_ = [this](std::string_view step) {
    if (step == "paused") {
      EXPECT_TRUE(resident_->domain.unpause());
    }
    if (step == "copied") {
      EXPECT_TRUE(resident_->domain.pause());
    }
  };
  writes_per_call_ = 20;
  buffer_frames_ = 16;
  ASSERT_TRUE(copy());
  std::uint64_t newest = 0;
  for (std::uint64_t i = 0; i < kRing; ++i) newest = std::max(newest, in_image(frame_of_number(i)));
  std::uint64_t wrong = 0;
  for (std::uint64_t number = newest - kRing + 1; number <= newest; ++number)
    wrong += in_image(frame_of_number(number)) != number;
  EXPECT_GT(wrong, 0U);
}

TEST_F(LiveCopyTest, ARestThatDoesNotFitIntoTheBufferIsWrittenInTheStop) {
  buffer_frames_ = 16;
  for (unsigned pass = 0; pass < 2; ++pass) {
    limits_.if_busy = pass == 0 ? IfBusy::kGiveUp : IfBusy::kStopLonger;
    writes_per_call_ = 100;
    const auto done = copy();
    EXPECT_EQ(bool(done), pass == 1);
    expect_free();
  }
  EXPECT_THAT(infos_.back(), HasSubstr("it is stopped for about"));
  expect_one_instant();
}

// Each look at the clock takes a millisecond: no stop is short enough.
TEST_F(LiveCopyTest, ABusyGuestIsWhatTheLimitsSay) {
  tick_ = 1ms;
  limits_.if_busy = IfBusy::kGiveUp;
  limits_.max_stop = 100us;
  auto done = copy();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(done.error().what(), HasSubstr("--if-busy stop-longer"));
  EXPECT_EQ(calls_["pause"], 0) << "it was never stopped";
  expect_free();

  limits_.if_busy = IfBusy::kStopLonger;
  done = copy();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_GT(done->stopped, limits_.max_stop);
  EXPECT_THAT(infos_.back(), HasSubstr("it is stopped for about"));
  expect_one_instant();
}

// Between the look at the log and the stop it writes to more than a stop may copy.
TEST_F(LiveCopyTest, AStopThatBecomesTooLongIsTakenBack) {
  limits_.max_stop = 10us;
  limits_.if_busy = IfBusy::kGiveUp;
  writes_per_call_ = 0;
  for (int i = 0; i < 100; ++i) write_next();
  int bursts = 1;
  passed_ = [&](std::string_view step) {
    if (step != "paused" || bursts-- <= 0) return;
    for (std::uint64_t gfn = 0; gfn < 600; ++gfn)
      resident_->dirty_log.guest_writes(Gfn{gfn}, 8, gfn);
  };
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(done->taken_back, 1U);
  EXPECT_EQ(notes_, (std::vector{true, false, true, false}));
  EXPECT_EQ(in_image(Gfn{599}), 599U) << "what the log had forgotten by then is not lost";
  expect_free();
}

TEST_F(LiveCopyTest, TheBudgetIsKept) {
  limits_.max_stop = 50us;
  limits_.if_busy = IfBusy::kGiveUp;
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_LE(done->stopped, limits_.max_stop);
  EXPECT_GE(done->stopped_frames, 2U);
  EXPECT_GE(done->unlogged_frames, 1U);
}

// What comes into a domain is in no log.
TEST_F(LiveCopyTest, MemoryThatComesMeanwhileIsCopiedToo) {
  survey_.ram = {{Gfn{0}, Gfn{kAll - 10}}};
  bool came = false;
  may_go_on_ = [&]() -> Result<> {
    if (came || calls_["map"] < 2) return {};
    came = true;
    const auto out = resident_->memory.remove({Gfn{kAll - 10}, Gfn{kAll - 5}});
    EXPECT_TRUE(out);
    survey_.ram = {{Gfn{0}, Gfn{kAll - 10}}, {Gfn{kAll - 5}, Gfn{kAll}}};
    resident_->dirty_log.backend_writes(Gfn{kAll - 1}, 8, 77);
    return {};
  };
  limits_.max_stop = 1s;
  const auto done = copy();
  ASSERT_TRUE(done) << done.error().what();
  EXPECT_EQ(looks_, 1);
  EXPECT_EQ(in_image(Gfn{kAll - 1}), 77U);
}

// Its balloon never rests.
TEST_F(LiveCopyTest, AGuestWhoseSizeChangesAllTheTimeIsRefusedInTheEnd) {
  std::uint64_t at = kAll - 1;
  passed_ = [&](std::string_view step) {
    if (step != "paused") return;
    EXPECT_TRUE(resident_->memory.remove({Gfn{at}, Gfn{at + 1}}));
    --at;
  };
  const auto done = copy();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBusy);
  EXPECT_EQ(looks_, 3);
  expect_free();
}

TEST_F(LiveCopyTest, EveryFailureLeavesTheGuestRunning) {
  limits_.max_stop = 1s;
  ASSERT_TRUE(copy());
  const auto all = calls_;
  for (const auto& [name, count] : all)
    for (int nth = 1; nth <= std::min(count, 4); ++nth) {
      SCOPED_TRACE(name + " " + std::to_string(nth));
      fail_call(name, nth);
      notes_.clear();
      const auto done = copy();
      EXPECT_FALSE(done) << "and says so";
      expect_free();
      EXPECT_FALSE(!notes_.empty() && notes_.back()) << "it is not noted as stopped";
    }
}

TEST_F(LiveCopyTest, ALogThatIsSomebodyElsesIsLeftAlone) {
  resident_->dirty_log.set_in_use();
  const auto done = copy();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBusy);
  EXPECT_EQ(calls_["stop_log"], 0);
}

TEST_F(LiveCopyTest, AnInterruptedCopyIsRepaired) {
  for (const char* call : {"start_log", "map", "take_log", "pause", "cpu_state", "unpause"}) {
    SCOPED_TRACE(call);
    kill_at_ = call;
    EXPECT_THROW(static_cast<void>(copy()), Killed);
    kill_at_.clear();
    dead_ = false;
    ASSERT_TRUE(repair_live(*open_, !notes_.empty() && notes_.back(), {}));
    expect_free();
    ASSERT_TRUE(repair_live(*open_, !notes_.empty() && notes_.back(), {})) << "again";
    expect_free();
    notes_.clear();
  }
  for (const char* step : {"paused", "copied", "resumed"}) {
    SCOPED_TRACE(step);
    passed_ = [&](std::string_view reached) {
      if (reached != step) return;
      dead_ = true;
      throw Killed{};
    };
    EXPECT_THROW(static_cast<void>(copy()), Killed);
    dead_ = false;
    EXPECT_TRUE(notes_.back());
    ASSERT_TRUE(repair_live(*open_, notes_.back(), {}));
    expect_free();
    notes_.clear();
  }
}

// An admin's pause is not ours to take back.
TEST_F(LiveCopyTest, APauseOfSomebodyElseStays) {
  limits_.max_stop = 1s;
  int asked = 0;
  may_go_on_ = [&]() -> Result<> { return ++asked == 2 ? resident_->domain.pause() : Result<>(); };
  ASSERT_TRUE(copy());
  EXPECT_EQ(resident_->domain.pauses(), 1);
}

}  // namespace
}  // namespace hadump
