// SPDX-License-Identifier: GPL-2.0-or-later
// What the caretaker does when the boot in the window fails.
#include <gmock/gmock.h>

#include "core/abi/hadump_abi.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

class CaretakerWindowTest : public CaretakerTest {
 protected:
  CaretakerWindowTest() {
    set_policies("max-crashes", "9");
    capture_hook = [this](CaptureRecord& record) -> Result<> {
      if (record.order.mode == "copy") {
        record.state = CaptureState::kWritten;
        record.file = record.order.to;
        return captures->save(record);
      }
      replace(record);
      record.state = record.parks ? CaptureState::kKept : CaptureState::kWriting;
      return captures->save(record);
    };
  }
  /// As an alias does.
  void replace(CaptureRecord& record) {
    record.aside_uuid = "aside-" + std::to_string(record.domid);
    EXPECT_TRUE(captures->save(record));
    EXPECT_TRUE(host.set_aside(record.domid, record.aside_uuid));
    DomainRecord fresh = record_of_successor(*book->find(record.uuid), 1);
    fresh.domid = host.create("blueprint of " + record.uuid, 0).value();
    EXPECT_TRUE(book->save(fresh));
  }
  /// One whose dump waits, in its first boot.
  unsigned waiting(const std::string& name) {
    const unsigned domid = known(config(name));
    crash(domid);
    EXPECT_EQ(state(name), "waiting");
    return domid;
  }
  void live(std::chrono::seconds time) {
    for (auto left = time; left > 0s; left -= 4s) {
      pass(4s);
      settle();
    }
  }
  /// Rounds before xenstore has answered what is asked in the first one.
  void look_with_old_news(const std::map<unsigned, GuestNews>& news, int rounds) {
    for (int i = 0; i < rounds; ++i) {
      jobs.finish();
      caretaker->heard({news, 0});
      ASSERT_TRUE(caretaker->look_around());
      pass(900ms);
    }
  }
  void says(unsigned domid, const std::string& state) {
    host.at(domid).store.keys[HADUMP_XS_STATE] = state;
  }
  CaptureRecord newest() { return caretaker->captures().back().record; }
};

TEST_F(CaretakerWindowTest, TheFirstFailureIsFollowedByTheSameBoot) {
  const unsigned domid = waiting("web");
  crash(domid);
  EXPECT_THAT(rescued, ElementsAre(domid, domid));
  EXPECT_EQ(record("web").window.failed, 1U);
  EXPECT_EQ(record("web").boots, 2U);
  EXPECT_EQ(state("web"), "waiting");
}

TEST_F(CaretakerWindowTest, TheSecondOneByAnotherDomainAndTheDumpIsKept) {
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  EXPECT_THAT(rescued, SizeIs(2));
  EXPECT_TRUE(newest().parks);
  EXPECT_EQ(newest().waiting_dump, to_hex({1, 2, 3}));
  EXPECT_EQ(newest().state, CaptureState::kKept);
  const auto successors = host.with_uuid("uuid-of-web");
  ASSERT_THAT(successors, SizeIs(1));
  EXPECT_NE(successors.front(), domid);
  EXPECT_EQ(state("web"), "watching");
  EXPECT_EQ(host.with_uuid("aside-" + std::to_string(domid)), std::vector{domid}) << "it is there";
  restart();
  settle();
  EXPECT_EQ(state("web"), "watching");
  EXPECT_THAT(captured, SizeIs(1)) << "nobody has asked for more";
}

TEST_F(CaretakerWindowTest, WhatIsKeptIsWrittenWhenAnAdminSaysWhere) {
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  CaptureOrder order;
  order.to = "/captures/";
  EXPECT_THAT(caretaker->capture(domid, order).error().what(), HasSubstr("use --mode alias"));
  order.mode = "alias";
  capture_hook = [this](CaptureRecord& record) -> Result<> {
    EXPECT_EQ(record.state, CaptureState::kWriting);
    EXPECT_TRUE(host.destroy(record.domid));
    record.domain_kept = false;
    record.state = CaptureState::kWritten;
    record.file = record.order.to;
    return captures->save(record);
  };
  const auto started = caretaker->capture(domid, order);
  ASSERT_TRUE(started) << started.error().what();
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_EQ(newest().file, "/captures/");
  EXPECT_THAT(host.with_uuid("uuid-of-web"), SizeIs(1));
}

TEST_F(CaretakerWindowTest, ADomainThatWasKeptAndIsDestroyedIsGivenUp) {
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  ASSERT_TRUE(host.destroy(domid));
  settle();
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_THAT(newest().error, HasSubstr("the domain is gone"));
  EXPECT_FALSE(newest().domain_kept);
}

// One that is kept holds memory that the next one needs.
TEST_F(CaretakerWindowTest, OnlyOneOfADomainIsKept) {
  unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  domid = host.with_uuid("uuid-of-web").front();
  crash(domid);
  crash(domid);
  set_policies("capture-mode", "copy");
  caretaker->reconsider();
  settle();
  crash(domid);
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_FALSE(newest().parks);
  EXPECT_THAT(captured, SizeIs(2));
  const auto successors = host.with_uuid("uuid-of-web");
  ASSERT_THAT(successors, SizeIs(1));
  EXPECT_NE(successors.front(), domid) << "created anew when the dump was written";
}

TEST_F(CaretakerWindowTest, WithoutRoomForASuccessorTheDumpIsWritten) {
  set_policies("capture-mode", "copy");
  const unsigned domid = waiting("web");
  crash(domid);
  capture_failures = {Error(ErrorCode::kNoSpace, "the host has room for 10 MiB")};
  crash(domid);
  EXPECT_THAT(captured, SizeIs(2));
  EXPECT_FALSE(newest().parks);
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_NE(host.with_uuid("uuid-of-web"), std::vector{domid});
  EXPECT_EQ(state("web"), "watching");
}

TEST_F(CaretakerWindowTest, WhatMayPassIsWaitedFor) {
  set_policies("on-window-failure", "capture");
  set_policies("capture-mode", "copy");
  const unsigned domid = waiting("web");
  crash(domid);
  capture_failures = {Error(ErrorCode::kNoSpace, "the disk is full"),
                      Error(ErrorCode::kNoSpace, "the disk is full")};
  crash(domid);
  EXPECT_EQ(state("web"), "retrying");
  EXPECT_THAT(view("web").note, HasSubstr("the disk is full"));
  for (int i = 0; i < 3; ++i) {
    pass(4s);
    settle();
  }
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_THAT(caretaker->captures(), SizeIs(1)) << "one attempt, repeated";
  EXPECT_EQ(state("web"), "watching");
}

TEST_F(CaretakerWindowTest, WhenNothingHelpsTheDumpStaysWhereItIs) {
  const unsigned domid = waiting("web");
  crash(domid);
  capture_failures = {Error(ErrorCode::kUnsupported, "no alias"),
                      Error(ErrorCode::kBadData, "not trusted")};
  crash(domid);
  EXPECT_EQ(state("web"), "failed");
  EXPECT_THAT(view("web").note, HasSubstr("boot 2 in the window crashed before"));
  EXPECT_THAT(view("web").note, HasSubstr("restart failed, capture failed (capture: not trusted)"));
  EXPECT_THAT(view("web").note, HasSubstr("its dump is kept in it"));
  EXPECT_EQ(host.with_uuid("uuid-of-web"), std::vector{domid});

  caretaker->reconsider();
  settle();
  EXPECT_EQ(newest().state, CaptureState::kKept) << "an admin may have helped";
}

TEST_F(CaretakerWindowTest, KeepIsAnAnswerAndAnAdminCanWriteTheDump) {
  set_policies("on-window-failure", "keep");
  const unsigned domid = waiting("web");
  crash(domid);
  crash(domid);
  EXPECT_EQ(state("web"), "failed");
  EXPECT_THAT(captured, IsEmpty());
  CaptureOrder order;
  order.to = "/captures/";
  ASSERT_TRUE(caretaker->capture(domid, order));
  settle();
  EXPECT_EQ(newest().waiting_dump, to_hex({1, 2, 3}));
  EXPECT_EQ(state("web"), "captured");
  EXPECT_EQ(host.with_uuid("uuid-of-web"), std::vector{domid});
}

TEST_F(CaretakerWindowTest, ACrashWhileTheDumpIsSavedIsNoFailureOfTheWindow) {
  const unsigned domid = waiting("web");
  for (int i = 0; i < 3; ++i) {
    live(8s);
    says(domid, HADUMP_STATE_SAVING);
    live(8s);
    host.at(domid).domain.crash_again();
    look();
    host.at(domid).store.keys.clear();  // a crash run does
    settle();
    EXPECT_EQ(state("web"), "waiting");
  }
  EXPECT_EQ(record("web").window.failed, 0U);
  set_policies("max-crashes", "1");
  caretaker->reconsider();
  settle();
  crash(domid);
  EXPECT_EQ(newest().state, CaptureState::kKept) << "it is not left down at the limit";
}

TEST_F(CaretakerWindowTest, OldWordsAreNotTheNewKernels) {
  const unsigned domid = waiting("web");
  says(domid, HADUMP_STATE_SAVING);
  crash(domid);
  EXPECT_EQ(record("web").window.failed, 0U);
  crash(domid);
  EXPECT_EQ(record("web").window.failed, 1U);
}

// Whoever was stopped, slow or not there has heard only what was said before.
TEST_F(CaretakerWindowTest, WhatWasSaidInTheLastSecondCounts) {
  const unsigned domid = waiting("web");
  live(8s);
  const auto before = said();
  says(domid, HADUMP_STATE_SAVING);
  host.at(domid).domain.crash_again();
  look_with_old_news(before, 3);
  EXPECT_THAT(jobs.waiting(), IsEmpty()) << "it waits for the answer";
  settle();
  EXPECT_EQ(record("web").window.failed, 0U);
  EXPECT_EQ(record("web").boots, 2U);
}

TEST_F(CaretakerWindowTest, AnXenstoredThatDoesNotAnswerIsNotWaitedForLong) {
  const unsigned domid = waiting("web");
  live(8s);
  const auto before = said();
  says(domid, HADUMP_STATE_SAVING);
  host.at(domid).domain.crash_again();
  look_with_old_news(before, 5);
  EXPECT_THAT(jobs.waiting(), SizeIs(1));
  EXPECT_EQ(record("web").window.failed, 1U);
}

// The look that was asked for may have begun before it was known which domains to look at.
TEST_F(CaretakerWindowTest, ALookThatHasLeftTheGuestOutIsNoAnswer) {
  const unsigned domid = waiting("web");
  live(8s);
  says(domid, HADUMP_STATE_SAVING);
  host.at(domid).domain.crash_again();
  restart();
  for (int i = 0; i < 3; ++i) {
    caretaker->heard({{}, asked});
    ASSERT_TRUE(caretaker->look_around());
    jobs.finish();
  }
  EXPECT_EQ(record("web").boots, 1U);
  settle();
  EXPECT_EQ(record("web").window.failed, 0U);
  EXPECT_EQ(record("web").boots, 2U);
}

// Its memory is given back, so this is the crash of another kernel.
TEST_F(CaretakerWindowTest, ADumpThatWasDoneUnheardDoesNotWaitAnyMore) {
  const unsigned domid = waiting("web");
  live(8s);
  says(domid, HADUMP_STATE_DONE);
  host.at(domid).domain.crash_again();
  restart();
  look_with_old_news({}, 2);
  settle();
  EXPECT_EQ(record("web").window.failed, 0U);
  EXPECT_EQ(record("web").window.judged, 0U) << "no window has ended";
}

TEST_F(CaretakerWindowTest, ABootWithoutASignOfLifeIsStopped) {
  set_policies("window-boot-timeout", "60");
  const unsigned domid = waiting("web");
  live(56s);
  EXPECT_THAT(rescued, SizeIs(1));
  live(12s);
  EXPECT_THAT(rescued, ElementsAre(domid, domid));
  EXPECT_EQ(record("web").window.failed, 1U);
  EXPECT_THAT(record("web").window.why, HasSubstr("made no progress and was stopped"));
  live(80s);
  EXPECT_EQ(newest().state, CaptureState::kKept) << "once more, and then another way";
}

TEST_F(CaretakerWindowTest, AGuestWhoseUserspaceIsUpIsNeverStopped) {
  set_policies("window-boot-timeout", "60");
  const unsigned domid = waiting("web");
  live(8s);
  says(domid, HADUMP_STATE_WAITING);
  live(10000s);
  EXPECT_THAT(rescued, SizeIs(1));
  EXPECT_EQ(state("web"), "waiting");
}

TEST_F(CaretakerWindowTest, NorOneThatNeverHadTheModuleOrIsPausedOrMayTakeForEver) {
  set_policies("window-boot-timeout", "60");
  const unsigned domid = waiting("web");
  DomainRecord other = record("web");
  other.window.had_module = false;
  ASSERT_TRUE(book->save(other));
  live(200s);
  EXPECT_THAT(rescued, SizeIs(1)) << "it would not say anything";

  other.window.had_module = true;
  ASSERT_TRUE(book->save(other));
  ASSERT_TRUE(host.at(domid).domain.pause());
  pass(10000s);
  settle();
  ASSERT_TRUE(host.at(domid).domain.start());
  caretaker->reconsider();  // and counts anew
  live(40s);
  EXPECT_THAT(rescued, SizeIs(1));

  set_policies("window-boot-timeout", "0");
  caretaker->reconsider();
  live(400s);
  EXPECT_THAT(rescued, SizeIs(1));
}

TEST_F(CaretakerWindowTest, APoweroffBeforeUserspaceIsNoWish) {
  const unsigned domid = waiting("web");
  host.at(domid).domain.shut_down(ShutdownReason::kPoweroff);
  settle();
  EXPECT_THAT(rescued, SizeIs(2));
  EXPECT_EQ(state("web"), "waiting");
  live(8s);
  says(domid, HADUMP_STATE_WAITING);
  live(8s);
  host.at(domid).domain.shut_down(ShutdownReason::kPoweroff);
  settle();
  EXPECT_THAT(host.with_uuid("uuid-of-web"), IsEmpty()) << "an admin wants it down";
}

// Its save area is damaged, say. The fake leaves a record as it was before the first crash.
TEST_F(CaretakerWindowTest, AWindowThatCannotBeBootedIsLeft) {
  const unsigned domid = waiting("web");
  const DomainRecord before = record("web");
  rescue_failures = {Error(ErrorCode::kBadData, "the dump that waits: damaged")};
  rescue_hook = [&] { ASSERT_TRUE(book->save(before)); };
  crash(domid);
  EXPECT_THAT(rescued, SizeIs(2));
  EXPECT_EQ(newest().state, CaptureState::kKept);
  EXPECT_THAT(host.with_uuid("uuid-of-web"), testing::Not(ElementsAre(domid)));
}

TEST_F(CaretakerWindowTest, IsFinishedByTheNextHadumpd) {
  const unsigned domid = waiting("web");
  crash(domid);
  capture_failures = {Error(ErrorCode::kCancelled, "hadumpd ends")};
  crash(domid);
  restart();
  settle();
  EXPECT_THAT(captured, SizeIs(2));
  EXPECT_EQ(captured.front(), captured.back()) << "the same one";
  EXPECT_EQ(newest().state, CaptureState::kKept);
}

}  // namespace
}  // namespace hadump
