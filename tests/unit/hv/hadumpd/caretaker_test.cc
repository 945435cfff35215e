// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/caretaker.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "core/abi/hadump_abi.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

TEST_F(CaretakerTest, RescuesACrashedDomain) {
  const unsigned domid = known(config("web"));
  host.at(domid).domain.crash_again();
  look();

  EXPECT_EQ(state("web"), "booting") << "its crash run is under way";
  EXPECT_NE(view("web").job, 0U);
  jobs.finish();
  EXPECT_THAT(rescued, ElementsAre(domid));
  EXPECT_EQ(state("web"), "waiting");
  EXPECT_EQ(view("web").job, 0U);
}

TEST_F(CaretakerTest, TellsACrashedDomainNothing) {
  const unsigned domid = host.add(config("web"));
  host.at(domid).domain.crash_again();
  look();
  jobs.finish();
  EXPECT_THAT(host.at(domid).store.published, IsEmpty());

  settle();  // its crash run makes it live
  EXPECT_EQ(host.at(domid).store.published.count(HADUMP_XS_AGENT_WINDOW), 1U);
}

// The job of the first stands still all the time.
TEST_F(CaretakerTest, TwoCrashesAreRescuedSideBySide) {
  const unsigned slow = known(config("slow"));
  const unsigned quick = known(config("quick"));
  host.at(slow).domain.crash_again();
  host.at(quick).domain.crash_again();
  look();
  EXPECT_EQ(jobs.waiting().size(), 2U);

  jobs.work(quick);
  jobs.collect();
  look();

  EXPECT_THAT(rescued, ElementsAre(quick));
  EXPECT_EQ(state("quick"), "waiting");
  EXPECT_EQ(state("slow"), "booting");
  const unsigned late = host.add(config("late"));
  look();
  jobs.work(late);
  jobs.collect();
  EXPECT_EQ(state("late"), "watching");
}

// The first has not added its save area yet when the second begins.
TEST_F(CaretakerTest, TwoCrashesTogetherKeepTheLimitForSaveAreas) {
  ASSERT_TRUE(policies.add("host", "max-save-areas", "1"));
  caretaker->set_policies(policies);
  const unsigned first = known(config("first"));
  const unsigned second = known(config("second"));
  host.at(first).domain.crash_again();
  host.at(second).domain.crash_again();
  look();
  jobs.work(first);
  jobs.work(second);
  jobs.collect();

  EXPECT_EQ(state("first"), "waiting");
  EXPECT_EQ(state("second"), "retrying");
  pass(1s);
  settle();
  EXPECT_EQ(state("second"), "waiting")
      << "registered or gone by now: nothing counts for the first";
}

TEST_F(CaretakerTest, SaveAreasHaveALimitInBytes) {
  ASSERT_TRUE(policies.add("host", "max-save-memory", "300M"));
  caretaker->set_policies(policies);
  DomainRecord other;
  other.uuid = "uuid-of-other";
  other.name = "other";
  other.domid = known(config("other"));
  other.step = Step::kStarted;
  other.committed = true;
  other.mode = SaveMode::kAdded;
  other.save_area = FrameRange{Gfn{0x80000}, Gfn{0x80000 + (128_MiB >> 12)}};
  ASSERT_TRUE(book->save(other));
  const unsigned domid = known(config("web"));
  host.at(domid).domain.crash_again();
  settle();
  EXPECT_THAT(room_for_save_area, ElementsAre(300_MiB - 128_MiB));
}

TEST_F(CaretakerTest, ADomainHasOneJobAtATime) {
  const unsigned domid = known(config("web"));
  host.at(domid).domain.crash_again();
  look();
  look();

  EXPECT_EQ(jobs.waiting().size(), 1U);
  const auto again = caretaker->trigger(domid, false);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), ErrorCode::kBusy);
}

TEST_F(CaretakerTest, TriesAgainWithGrowingPausesWhenTheHostHasNoMemory) {
  const unsigned domid = known(config("web"));
  rescue_failures.assign(3, Error(ErrorCode::kNoSpace, "no free memory"));
  host.at(domid).domain.crash_again();
  for (const auto pause : {1s, 2s, 4s}) {
    settle();
    EXPECT_EQ(state("web"), "retrying");
    EXPECT_THAT(view("web").note, HasSubstr("no free memory (attempt "));
    EXPECT_EQ(view("web").wait_ms, static_cast<std::uint64_t>(pause / 1ms));
    EXPECT_EQ(record("web").error, "no free memory");
    pass(pause - 1ms);
    const std::size_t attempts = rescued.size();
    settle();
    EXPECT_EQ(rescued.size(), attempts) << "not before its time";
    pass(1ms);
  }
  settle();
  EXPECT_EQ(rescued.size(), 4U);
  EXPECT_EQ(state("web"), "waiting");
  EXPECT_EQ(record("web").crashes.size(), 1U) << "one crash, tried four times, is one crash";
}

TEST_F(CaretakerTest, LeavesADomainAloneWhenTryingAgainCannotHelp) {
  const unsigned domid = known(config("web"));
  rescue_failures = {Error(ErrorCode::kBadData, "the kernel: not a kernel")};
  host.at(domid).domain.crash_again();
  settle();
  pass(1h);
  settle();

  EXPECT_EQ(rescued.size(), 1U);
  EXPECT_EQ(state("web"), "failed");
  EXPECT_THAT(view("web").note, HasSubstr("not a kernel"));

  caretaker->reconsider();
  settle();
  EXPECT_EQ(state("web"), "waiting") << "another configuration may help";
}

TEST_F(CaretakerTest, TriesEverythingAgainAfterTheCommit) {
  const unsigned domid = known(config("web"));
  rescue_failures = {Error(ErrorCode::kBadData, "the kernel: gone")};
  commits_before_it_fails = true;
  host.at(domid).domain.crash_again();
  settle();
  EXPECT_EQ(state("web"), "retrying");

  pass(1s);
  settle();
  EXPECT_EQ(state("web"), "waiting");
}

TEST_F(CaretakerTest, TriesAgainWhenThereIsNoThread) {
  const unsigned domid = known(config("web"));
  host.at(domid).domain.crash_again();
  jobs.refuse_next();
  settle();
  EXPECT_EQ(state("web"), "retrying");
  EXPECT_THAT(view("web").note, HasSubstr("starting a thread"));

  pass(1s);
  settle();
  EXPECT_EQ(state("web"), "waiting");
}

TEST_F(CaretakerTest, AnAdminNeedNotWait) {
  const unsigned domid = known(config("web"));
  rescue_failures = {Error(ErrorCode::kBusy, "the backend is late")};
  host.at(domid).domain.crash_again();
  settle();

  const auto job = caretaker->trigger(domid, true);
  ASSERT_TRUE(job) << job.error().what();
  EXPECT_FALSE(jobs.state(*job)->over);
  jobs.finish();
  EXPECT_TRUE(jobs.state(*job)->over);
  EXPECT_EQ(state("web"), "waiting");
}

TEST_F(CaretakerTest, ACrashLoopEndsAndAnAdminGoesOn) {
  set_policies("max-crashes", "1");
  set_policies("on-window-failure", "keep");
  const unsigned domid = known(config("web"));
  for (int i = 0; i < 2; ++i) {
    host.at(domid).domain.crash_again();
    settle();
  }
  EXPECT_EQ(rescued.size(), 1U);
  EXPECT_EQ(state("web"), "failed");
  EXPECT_THAT(view("web").note, HasSubstr("crashed more than 1 times"));

  ASSERT_TRUE(caretaker->trigger(domid, false));
  jobs.finish();
  EXPECT_EQ(state("web"), "waiting");
}

TEST_F(CaretakerTest, TriggerMakesARunningDomainCrash) {
  const unsigned domid = known(config("web"));
  ASSERT_TRUE(caretaker->trigger(domid, false));
  settle();

  EXPECT_THAT(rescued, ElementsAre(domid));
  const auto nobody = caretaker->trigger(99, false);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code(), ErrorCode::kNotFound);
}

// It was down when the admin looked.
TEST_F(CaretakerTest, TriggerAgainDoesNotHarmADomainThatRuns) {
  const unsigned domid = known(config("web"));
  const auto refused = caretaker->trigger(domid, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kBusy);
  settle();
  EXPECT_THAT(rescued, IsEmpty());
}

TEST_F(CaretakerTest, FinishesABootThatWasInterrupted) {
  const unsigned domid = known(config("web"));
  DomainRecord interrupted;
  interrupted.uuid = "uuid-of-web";
  interrupted.committed = true;
  interrupted.step = Step::kLoaded;
  ASSERT_TRUE(book->save(interrupted));
  ASSERT_TRUE(host.at(domid).domain.pause());

  restart();
  settle();

  EXPECT_THAT(rescued, ElementsAre(domid));
  EXPECT_EQ(state("web"), "waiting");
}

// A domain may have the UUID and the domid that another one had before the host's reboot.
TEST_F(CaretakerTest, ARecordOfAnotherBootOfTheHostIsForgotten) {
  DomainRecord old;
  old.uuid = "uuid-of-web";
  old.committed = true;
  old.step = Step::kLoaded;
  ASSERT_TRUE(book->save(old));
  boot_id = "another-boot";
  restart();
  old = record("web");
  EXPECT_EQ(old.step, Step::kNone);

  const unsigned domid = known(config("web"));
  ASSERT_TRUE(host.at(domid).domain.pause());
  settle();
  EXPECT_THAT(rescued, IsEmpty());
  restart();
  EXPECT_FALSE(record("web").committed) << "nor is it on disk";
}

TEST_F(CaretakerTest, EndsADumpWhenTheGuestSaysSo) {
  const unsigned domid = known(config("web"));
  host.at(domid).domain.crash_again();
  settle();
  host.at(domid).store.keys[HADUMP_XS_STATE] = "done";
  look();
  EXPECT_EQ(jobs.waiting().size(), 1U);
  jobs.finish();

  EXPECT_EQ(record("web").step, Step::kDone);
  EXPECT_EQ(host.at(domid).store.published.at(HADUMP_XS_AGENT_STATE), "save-area-returned");
}

TEST_F(CaretakerTest, ForgetsADomainThatIsGone) {
  const unsigned domid = known(config("web"));
  host.at(domid).domain.crash_again();
  settle();
  ASSERT_TRUE(host.destroy(domid));
  settle();

  EXPECT_THAT(caretaker->views(), IsEmpty());
  EXPECT_FALSE(book->find("uuid-of-web"));
}

// An admin destroys a domain while its crash run hangs.
TEST_F(CaretakerTest, TheJobOfADomainThatIsGoneHarmsNobody) {
  const unsigned domid = known(config("web"));
  rescue_failures = {Error::os(ESRCH, "mapping")};
  host.at(domid).domain.crash_again();
  look();
  ASSERT_TRUE(host.destroy(domid));
  look();
  EXPECT_EQ(state("web"), "booting") << "its job is not over";
  settle();
  EXPECT_THAT(caretaker->views(), IsEmpty());
}

}  // namespace
}  // namespace hadump
