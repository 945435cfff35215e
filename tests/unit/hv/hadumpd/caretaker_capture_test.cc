// SPDX-License-Identifier: GPL-2.0-or-later
// Captures as the caretaker sees them; what a capture does is copy_mode_test.cc's.
#include <gmock/gmock.h>

#include <atomic>
#include <cerrno>
#include <tuple>

#include "hv/capture/capture_facts.h"
#include "hv/hadumpd/capturer.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

class CaretakerCaptureTest : public CaretakerTest {
 protected:
  /// A crashed domain that hadumpd has given up on, and keeps.
  unsigned kept(const std::string& name) {
    set_policies("max-crashes", "0");
    const unsigned domid = known(config(name));
    host.at(domid).domain.crash_again();
    settle();
    EXPECT_EQ(state(name), "failed");
    return domid;
  }
  static CaptureOrder order(bool restart = false) {
    CaptureOrder order;
    order.to = "/var/captures/";
    order.restart = restart;
    return order;
  }
  CaptureRecord newest() { return caretaker->captures().back().record; }
};

TEST_F(CaretakerCaptureTest, ACaptureIsAJob) {
  const unsigned domid = kept("web");
  const auto started = caretaker->capture(domid, order());
  ASSERT_TRUE(started) << started.error().what();
  EXPECT_THAT(started->name, HasSubstr("web-2023"));
  look();
  EXPECT_EQ(state("web"), "capturing");
  EXPECT_EQ(view("web").job, started->job);
  EXPECT_EQ(caretaker->capture(domid, order()).error().code(), ErrorCode::kBusy);
  settle();
  EXPECT_THAT(captured, ElementsAre(started->name));
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_EQ(state("web"), "captured");
  EXPECT_THAT(rescued, IsEmpty());
  EXPECT_TRUE(host.with_uuid("uuid-of-web") == std::vector{domid}) << "it stays";
}

// The event loop does not wait for the disk, and a capture does not begin without its record.
TEST_F(CaretakerCaptureTest, IsWrittenDownBeforeItBegins) {
  const unsigned domid = kept("web");
  writes.hang();
  const auto started = caretaker->capture(domid, order());
  ASSERT_TRUE(started) << started.error().what();
  look();
  EXPECT_EQ(state("web"), "capturing");
  std::vector<std::string> complaints;
  EXPECT_FALSE(states.captures(complaints)->contains(started->name));
  capture_hook = [&](const CaptureRecord& record) -> Result<> {
    EXPECT_TRUE(states.captures(complaints)->contains(record.name));
    return fail(ErrorCode::kBadData, "enough");
  };
  jobs.finish();
  EXPECT_THAT(captured, ElementsAre(started->name));
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_NE(writes.waiting(), 0U) << "the disk still hangs";
}

TEST_F(CaretakerCaptureTest, DoesNotBeginWhereItCannotBeWrittenDown) {
  const unsigned domid = kept("web");
  std::filesystem::rename(directory + "/domains", directory + "/gone");
  ASSERT_TRUE(caretaker->capture(domid, order()));
  settle();
  EXPECT_THAT(captured, IsEmpty());
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_EQ(state("web"), "failed");
}

TEST_F(CaretakerCaptureTest, ACapturedDomainIsLeftAloneByTheNextHadumpd) {
  kept("web");
  ASSERT_TRUE(caretaker->capture(1, order()));
  settle();
  set_policies("max-crashes", "3");
  restart();
  settle();
  EXPECT_EQ(state("web"), "captured");
  EXPECT_THAT(rescued, IsEmpty());
  EXPECT_THAT(captured, SizeIs(1));
}

// Of a later release, say.
TEST_F(CaretakerCaptureTest, ARecordWithAnOrderThatMakesNoSenseIsLeftOut) {
  CaptureRecord record = captures->begin("web", "uuid-of-web", 1, 1);
  record.order = order();
  record.order.mode = "magic";
  ASSERT_TRUE(captures->save(record));
  CaptureBook next(states, writes, boot_id);
  std::vector<std::string> complaints;
  ASSERT_TRUE(next.load(complaints));
  EXPECT_THAT(next.all(), IsEmpty());
  EXPECT_THAT(complaints, ElementsAre(HasSubstr("invalid mode 'magic'")));
}

TEST_F(CaretakerCaptureTest, RefusesWhatCannotBeCaptured) {
  const unsigned running = known(config("runs"));
  EXPECT_THAT(caretaker->capture(running, order()).error().what(), HasSubstr("the domain runs"));
  EXPECT_EQ(caretaker->capture(99, order()).error().code(), ErrorCode::kNotFound);
  CaptureOrder bad = order();
  bad.mode = "magic";
  EXPECT_EQ(caretaker->capture(running, bad).error().code(), ErrorCode::kBadData);

  DomainConfig other = config("restarts");
  other.on_crash = ShutdownAction::kRestart;
  const unsigned xls = known(other);
  host.at(xls).domain.crash_again();
  EXPECT_THAT(caretaker->capture(xls, order()).error().what(), HasSubstr("xl is about to"));

  DomainConfig hvm = config("hvm");
  hvm.kind = nullptr;
  const unsigned of_another_kind = known(hvm);
  host.at(of_another_kind).domain.crash_again();
  EXPECT_EQ(caretaker->capture(of_another_kind, order()).error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(caretaker->captures(), IsEmpty());
}

// Its memory is partly the dump's and partly its new kernel's.
TEST_F(CaretakerCaptureTest, RefusesADomainInWhichADumpWaits) {
  const unsigned domid = known(config("web"));
  host.at(domid).domain.crash_again();
  settle();
  ASSERT_EQ(state("web"), "waiting");
  set_policies("max-crashes", "0");
  host.at(domid).domain.crash_again();
  EXPECT_THAT(caretaker->capture(domid, order()).error().what(), HasSubstr("a dump of an earlier"));
}

TEST_F(CaretakerCaptureTest, AnIgnoredDomainCanBeCapturedButNotRestarted) {
  EXPECT_TRUE(policies.add("domain web", "enabled", "no"));
  caretaker->set_policies(policies);
  const unsigned domid = known(config("web"));
  host.at(domid).domain.crash_again();
  EXPECT_THAT(caretaker->capture(domid, order(true)).error().what(), HasSubstr("--restart"));
  ASSERT_TRUE(caretaker->capture(domid, order()));
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_EQ(state("web"), "captured");
}

TEST_F(CaretakerCaptureTest, RestartsWhenTheMemoryIsSafeAndTheBackendsHaveLetGo) {
  const unsigned domid = kept("web");
  std::vector<std::string> calls;
  host.watch([&](const std::string& what) {
    if (what == "destroy" || what == "create") calls.push_back(what);
  });
  host.at(domid).links.refuse_to_disconnect();
  ASSERT_TRUE(caretaker->capture(domid, order(true)));
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_THAT(calls, IsEmpty()) << "a backend has not closed";
  EXPECT_EQ(state("web"), "retrying");
  EXPECT_THAT(view("web").note, HasSubstr("vbd/51712"));
}

// Somebody who still maps its memory could still write to its disk.
TEST_F(CaretakerCaptureTest, NothingIsCreatedBeforeTheOldDomainIsGone) {
  const unsigned domid = kept("web");
  host.at(domid).is_mapped = true;
  ASSERT_TRUE(caretaker->capture(domid, order(true)));
  settle();
  EXPECT_THAT(host.with_uuid("uuid-of-web"), ElementsAre(domid)) << "dying";
  EXPECT_EQ(state("web"), "retrying");
  EXPECT_THAT(view("web").note, HasSubstr("still maps its memory"));

  host.at(domid).is_mapped = false;
  ASSERT_TRUE(host.destroy(domid));
  pass(2s);
  settle();
  ASSERT_THAT(host.with_uuid("uuid-of-web"), SizeIs(1));
  EXPECT_NE(host.with_uuid("uuid-of-web").front(), domid);
}

TEST_F(CaretakerCaptureTest, ItsSuccessorIsLookedAfter) {
  const unsigned domid = kept("web");
  ASSERT_TRUE(caretaker->capture(domid, order(true)));
  settle();
  const auto after = host.with_uuid("uuid-of-web");
  ASSERT_THAT(after, SizeIs(1));
  EXPECT_NE(after.front(), domid);
  EXPECT_EQ(state("web"), "watching");
  EXPECT_FALSE(newest().domain_kept);
  EXPECT_NE(record("web").started_ms, 0U) << "no xl looks after it";

  set_policies("max-crashes", "3");
  settle();
  host.at(after.front()).domain.crash_again();
  caretaker->reconsider();
  settle();
  EXPECT_THAT(rescued, ElementsAre(after.front())) << "its crash is another one";
}

TEST_F(CaretakerCaptureTest, AFailedCaptureKeepsTheDomain) {
  const unsigned domid = kept("web");
  capture_failures = {Error(ErrorCode::kNoSpace, "no room")};
  ASSERT_TRUE(caretaker->capture(domid, order(true)));
  settle();
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_EQ(newest().error, "no room");
  EXPECT_EQ(state("web"), "failed");
  EXPECT_THAT(host.with_uuid("uuid-of-web"), ElementsAre(domid));
  EXPECT_THAT(rescued, IsEmpty());

  const std::string dump_id = newest().dump_id;
  pass(1s);
  ASSERT_TRUE(caretaker->capture(domid, order()));
  settle();
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_EQ(newest().dump_id, dump_id) << "it may go on with the partial dump";
}

TEST_F(CaretakerCaptureTest, AnInterruptedCaptureIsContinued) {
  const unsigned domid = kept("web");
  const auto started = caretaker->capture(domid, order(true));
  ASSERT_TRUE(started);
  set_policies("max-crashes", "3");
  restart();  // before the job has done anything
  look();
  jobs.finish();
  look();
  EXPECT_EQ(state("web"), "capturing");
  settle();
  EXPECT_THAT(captured, ElementsAre(started->name));
  EXPECT_THAT(rescued, IsEmpty());
  EXPECT_NE(host.with_uuid("uuid-of-web").front(), domid) << "and restarted then";
}

TEST_F(CaretakerCaptureTest, ARestartThatWasInterruptedIsFinished) {
  const unsigned domid = kept("web");
  ASSERT_TRUE(caretaker->capture(domid, order(true)));
  host.fail_next("create", Error(ErrorCode::kOs, "libxl error -3"));
  settle();
  EXPECT_THAT(host.with_uuid("uuid-of-web"), IsEmpty());
  restart();
  settle();
  EXPECT_THAT(host.with_uuid("uuid-of-web"), SizeIs(1));
  EXPECT_EQ(newest().state, CaptureState::kWritten);
  EXPECT_THAT(captured, SizeIs(1));
}

TEST_F(CaretakerCaptureTest, ACaptureOfADomainThatIsGoneHasFailed) {
  const unsigned domid = kept("web");
  ASSERT_TRUE(caretaker->capture(domid, order()));
  restart();
  ASSERT_TRUE(host.destroy(domid));
  settle();
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  EXPECT_THAT(newest().error, HasSubstr("gone"));
  EXPECT_FALSE(newest().domain_kept);
}

TEST_F(CaretakerCaptureTest, TheHostsRebootEndsCaptures) {
  const unsigned domid = kept("web");
  ASSERT_TRUE(caretaker->capture(domid, order()));
  boot_id = "another-boot";
  restart();
  EXPECT_EQ(newest().state, CaptureState::kFailed);
  settle();
  EXPECT_THAT(captured, IsEmpty());
}

// A boot in place ends what was captured: the next crash is another one.
TEST_F(CaretakerCaptureTest, ATriggerBootsACapturedDomainAgain) {
  const unsigned domid = kept("web");
  ASSERT_TRUE(caretaker->capture(domid, order()));
  settle();
  ASSERT_EQ(state("web"), "captured");
  ASSERT_TRUE(caretaker->trigger(domid, true));
  settle();
  EXPECT_THAT(rescued, ElementsAre(domid));
  EXPECT_EQ(state("web"), "waiting");
  EXPECT_FALSE(newest().domain_kept);
}

TEST_F(CaretakerCaptureTest, AnAdminDiscardsOneThatHasEnded) {
  const unsigned domid = kept("web");
  const auto started = caretaker->capture(domid, order());
  ASSERT_TRUE(started);
  EXPECT_EQ(caretaker->discard(started->name).error().code(), ErrorCode::kBusy);
  EXPECT_EQ(caretaker->discard("other").error().code(), ErrorCode::kNotFound);
  settle();
  ASSERT_TRUE(caretaker->discard(started->name)) << "the domain needs no capture to stay";
  settle();
  EXPECT_THAT(caretaker->captures(), IsEmpty());
  restart();
  EXPECT_THAT(caretaker->captures(), IsEmpty());
  EXPECT_THAT(host.with_uuid("uuid-of-web"), ElementsAre(domid));
}

TEST_F(CaretakerCaptureTest, OldOnesAreDiscardedByTheLimits) {
  CaptureRecord record = captures->begin("old", "u", 5, 1);
  record.order = order();
  record.domain_kept = false;
  for (int i = 0; i < 4; ++i) {
    record.name = "old-" + std::to_string(i);
    record.ended_ms = kEarliestClockMs + static_cast<std::uint64_t>(i);
    // One has failed: its partial dump may be all that there is.
    record.state = i == 0 ? CaptureState::kFailed : CaptureState::kWritten;
    ASSERT_TRUE(captures->save(record));
  }
  settle();
  EXPECT_THAT(caretaker->captures(), SizeIs(4));
  EXPECT_TRUE(policies.add("captures", "max-count", "2"));
  caretaker->set_policies(policies);
  settle();
  std::vector<std::string> names;
  for (const CaptureView& view : caretaker->captures()) names.push_back(view.record.name);
  EXPECT_THAT(names, testing::UnorderedElementsAre("old-0", "old-2", "old-3"));
}

// A clock that is ahead, at the start or later, is set right before captures go by it.
TEST_F(CaretakerCaptureTest, AWrongClockMakesNoCaptureOld) {
  CaptureRecord record = captures->begin("web", "uuid-of-web", 7, 1700000000000);
  record.order = order();
  record.domain_kept = false;
  record.state = CaptureState::kWritten;
  for (const char* name : {"older", "newer"}) {
    record.name = name;
    record.ended_ms = 1700000000000 + (record.name == "newer" ? 1 : 0);
    ASSERT_TRUE(captures->save(record));
  }
  EXPECT_TRUE(policies.add("captures", "max-age", "3"));
  caretaker->set_policies(policies);
  clock_ahead = 24h * 365 * 20;
  settle();
  pass(59min);
  settle();
  EXPECT_THAT(caretaker->captures(), SizeIs(2)) << "at the start";
  clock_ahead = 0h;
  settle();
  pass(2h);
  settle();
  clock_ahead = 24h * 365 * 20;
  settle();
  EXPECT_THAT(caretaker->captures(), SizeIs(2)) << "later";
  clock_ahead = 0h;
  settle();
  pass(24h * 4);
  settle();
  EXPECT_THAT(caretaker->captures(), SizeIs(1)) << "four days are more than three";
}

// An unreadable record may be mended, and one of a newer hadumpd may be read again after an
// upgrade.
TEST_F(CaretakerCaptureTest, OnlyFactsThatNobodyCanUseAreForgotten) {
  const std::string facts = directory + "/captures";
  std::filesystem::create_directory(facts);
  CaptureRecord record = captures->begin("web", "uuid-of-web", 7, 1700000000000);
  for (const auto& [name, state, kept] : {std::tuple{"open", CaptureState::kWriting, true},
                                          {"kept", CaptureState::kFailed, true},
                                          {"over", CaptureState::kFailed, false}}) {
    record.name = name;
    record.state = state;
    record.domain_kept = kept;
    ASSERT_TRUE(captures->save(record));
    ASSERT_TRUE(save_facts(facts, name, {}));
  }
  ASSERT_TRUE(save_facts(facts, "unknown", {}));
  const std::atomic<bool> stopping = false;
  Capturer(host, *captures, *book, facts, stopping).forget_ended();
  const auto is_there = [&](const std::string& name) {
    return std::filesystem::exists(facts + "/" + name + ".facts");
  };
  EXPECT_TRUE(is_there("open") && is_there("kept") && is_there("unknown"));
  EXPECT_FALSE(is_there("over"));
}

TEST_F(CaretakerCaptureTest, OnlySoManyAreRemembered) {
  CaptureRecord record = captures->begin("old", "u", 5, 1);
  record.order = order();
  record.state = CaptureState::kWritten;
  record.domain_kept = false;
  for (int i = 0; i < 70; ++i) {
    record.name = "old-" + std::to_string(i);
    record.begun_ms = static_cast<std::uint64_t>(i);
    ASSERT_TRUE(captures->save(record));
  }
  restart();
  EXPECT_THAT(caretaker->captures(), SizeIs(64));
  EXPECT_EQ(caretaker->captures().front().record.name, "old-6");
}

}  // namespace
}  // namespace hadump
