// SPDX-License-Identifier: GPL-2.0-or-later
// Captures of domains that run, as the caretaker sees them; what one does is live_mode_test.cc's.
#include <gmock/gmock.h>

#include "hv/domain/pv_guest.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class CaretakerLiveTest : public CaretakerTest {
 protected:
  CaretakerLiveTest() {
    // As live_domain() goes from state to state.
    capture_hook = [this](CaptureRecord& record) -> Result<> {
      states_seen.push_back(record.state);
      switch (record.state) {
        case CaptureState::kExamining:
          record.state = CaptureState::kWriting;
          break;
        case CaptureState::kWriting:
          record.state = CaptureState::kWritten;
          break;
        default:
          return fail(ErrorCode::kCancelled, "hadumpd ended before");
      }
      return captures->save(record);
    };
  }
  static CaptureOrder order() {
    CaptureOrder order;
    order.mode = "live";
    order.to = "/var/captures/";
    return order;
  }
  CaptureRecord newest() { return caretaker->captures().back().record; }

  std::vector<CaptureState> states_seen;
};

TEST_F(CaretakerLiveTest, TakesTheInstantAndThenWritesIt) {
  const unsigned domid = known(config("web"));
  const auto started = caretaker->capture(domid, order());
  ASSERT_TRUE(started) << started.error().what();
  EXPECT_EQ(caretaker->capture(domid, order()).error().code(), ErrorCode::kBusy);
  look();
  EXPECT_EQ(state("web"), "capturing");
  EXPECT_THAT(caretaker->captures(), SizeIs(1));
  jobs.work(domid);
  jobs.collect();
  EXPECT_EQ(newest().state, CaptureState::kWriting);
  look();
  EXPECT_EQ(state("web"), "watching");
  EXPECT_THAT(jobs.waiting(), ElementsAre(HasSubstr("writing capture")));
  EXPECT_FALSE(jobs.busy(domid)) << "it has no job of the domain's any more";
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_THAT(states_seen, ElementsAre(CaptureState::kExamining, CaptureState::kWriting));
}

TEST_F(CaretakerLiveTest, ACrashDoesNotWaitForTheDump) {
  const unsigned domid = known(config("web"));
  ASSERT_TRUE(caretaker->capture(domid, order()));
  jobs.work(domid);
  jobs.collect();
  look();
  host.at(domid).domain.crash_again();
  look();
  jobs.work(domid);
  jobs.collect();
  EXPECT_THAT(rescued, ElementsAre(domid));
  EXPECT_EQ(newest().state, CaptureState::kWriting);
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
}

TEST_F(CaretakerLiveTest, AFailureIsTheCapturesOnly) {
  const unsigned domid = known(config("web"));
  capture_failures = {Error(ErrorCode::kBusy, "too busy")};
  ASSERT_TRUE(caretaker->capture(domid, order()));
  settle();
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_EQ(newest().error, "too busy");
  EXPECT_EQ(state("web"), "watching");
  EXPECT_TRUE(caretaker->capture(domid, order())) << "another one";
}

TEST_F(CaretakerLiveTest, RefusesWhatDoesNotRun) {
  const unsigned domid = known(config("web"));
  ASSERT_TRUE(host.at(domid).domain.pause());
  EXPECT_THAT(caretaker->capture(domid, order()).error().what(), HasSubstr("is paused"));
  ASSERT_TRUE(host.at(domid).domain.unpause());
  host.at(domid).domain.crash_again();
  EXPECT_THAT(caretaker->capture(domid, order()).error().what(), HasSubstr("--mode copy"));
  DomainConfig pv = config("pv");
  pv.kind = &kPvGuest;
  EXPECT_EQ(caretaker->capture(known(pv), order()).error().code(), ErrorCode::kUnsupported);
  CaptureOrder copy = order();
  copy.mode = "copy";
  EXPECT_THAT(caretaker->capture(known(config("other")), copy).error().what(),
              HasSubstr("--mode live"));
  EXPECT_THAT(caretaker->captures(), IsEmpty());
}

TEST_F(CaretakerLiveTest, WhatWasInterruptedIsRepairedAndReported) {
  for (const CaptureState state : {CaptureState::kTracking, CaptureState::kStopping}) {
    const unsigned domid = known(config("web"));
    CaptureRecord record = captures->begin("web", "uuid-of-web", domid, 1700000000000);
    record.order = order();
    record.domain_kept = false;
    record.state = state;
    ASSERT_TRUE(captures->save(record));
    states_seen.clear();
    restart();
    settle();
    EXPECT_THAT(states_seen, ElementsAre(state)) << "the domain is made to run on";
    EXPECT_EQ(newest().state, CaptureState::kFailed);
    EXPECT_THAT(newest().error, HasSubstr("ended before"));
    EXPECT_EQ(this->state("web"), "watching");
    ASSERT_TRUE(host.destroy(domid));
    settle();
  }
}

TEST_F(CaretakerLiveTest, AKeptInstantIsWrittenByTheNextHadumpd) {
  const unsigned domid = known(config("web"));
  ASSERT_TRUE(caretaker->capture(domid, order()));
  jobs.work(domid);
  ASSERT_TRUE(host.destroy(domid));
  restart();
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_THAT(states_seen, ElementsAre(CaptureState::kExamining, CaptureState::kWriting));
}

// Its image was in the page cache, perhaps.
TEST_F(CaretakerLiveTest, AnotherBootOfTheHostLosesIt) {
  const unsigned domid = known(config("web"));
  ASSERT_TRUE(caretaker->capture(domid, order()));
  jobs.work(domid);
  boot_id = "another-boot";
  restart();
  settle();
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_EQ(states_seen.back(), CaptureState::kTracking) << "its files are removed";
}

// What the capture could not take back is taken back, and the capture failed for its own reason.
TEST_F(CaretakerLiveTest, WhatCouldNotBeTakenBackIsRepairedAtOnce) {
  const unsigned domid = known(config("web"));
  const auto as_before = capture_hook;
  capture_hook = [&, first = true](CaptureRecord& record) mutable -> Result<> {
    if (!std::exchange(first, false)) return as_before(record);
    record.state = CaptureState::kTracking;
    record.throttled = CapChange{.before = 80, .set = {20}};
    if (auto done = captures->save(record); !done) return done;
    return fail(ErrorCode::kOs, "Xen refuses");
  };
  ASSERT_TRUE(caretaker->capture(domid, order()));
  settle();
  EXPECT_THAT(states_seen, ElementsAre(CaptureState::kTracking));
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_THAT(newest().error, HasSubstr("Xen refuses"));
  EXPECT_EQ(state("web"), "watching");
}

TEST_F(CaretakerLiveTest, ARepairThatFailsIsTriedAgain) {
  const unsigned domid = known(config("web"));
  CaptureRecord record = captures->begin("web", "uuid-of-web", domid, 1700000000000);
  record.order = order();
  record.domain_kept = false;
  record.state = CaptureState::kStopping;
  ASSERT_TRUE(captures->save(record));
  capture_failures = {Error(ErrorCode::kOs, "Xen does not answer")};
  restart();
  settle();
  EXPECT_TRUE(newest().is_open());
  pass(std::chrono::seconds(2));
  settle();
  EXPECT_EQ(newest().state, CaptureState::kFailed);
}

}  // namespace
}  // namespace hadump
