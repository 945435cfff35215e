// SPDX-License-Identifier: GPL-2.0-or-later
// What becomes of domains that shut down and that hadumpd looks after.
#include <gmock/gmock.h>

#include <fstream>

#include "core/abi/hadump_abi.h"
#include "core/base/file.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

class DepartureTest : public CaretakerTest {
 protected:
  unsigned only() {
    const auto found = host.with_uuid("uuid-of-web");
    return found.size() == 1 ? found.front() : 0;
  }
  std::vector<std::string> core_files() const {
    std::vector<std::string> names;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(directory + "/cores", none))
      names.push_back(entry.path().filename());
    return names;
  }
};

TEST_F(DepartureTest, ARebootMakesANewDomain) {
  const unsigned domid = owned(config("web"));
  host.at(domid).domain.shut_down(ShutdownReason::kReboot);
  look();
  EXPECT_EQ(state("web"), "restarting");
  settle();

  EXPECT_NE(only(), 0U);
  EXPECT_NE(only(), domid);
  EXPECT_EQ(state("web"), "watching");
  EXPECT_EQ(record("web").step, Step::kDone) << "the new one is hadumpd's as well";
}

TEST_F(DepartureTest, APoweroffEndsTheDomain) {
  const unsigned domid = owned(config("web"));
  host.at(domid).domain.shut_down(ShutdownReason::kPoweroff);
  settle();

  EXPECT_EQ(only(), 0U);
  EXPECT_THAT(caretaker->views(), IsEmpty());
}

TEST_F(DepartureTest, ADomainOfXlsIsLeftToXl) {
  const unsigned domid = known(config("web"));
  host.at(domid).domain.shut_down(ShutdownReason::kReboot);
  settle();

  EXPECT_EQ(only(), domid);
}

// xl save and xl restore while hadumpd did not run: the UUID is the old one's, xl watches the new
// one, and both would create a domain.
TEST_F(DepartureTest, ADomainThatXlHasRestoredIsXls) {
  const unsigned domid = owned(config("web"));
  ASSERT_TRUE(host.destroy(domid));
  const unsigned restored = host.add(config("web"));
  ASSERT_NE(restored, domid);
  restart();
  settle();
  EXPECT_EQ(state("web"), "watching");

  host.at(restored).domain.shut_down(ShutdownReason::kReboot);
  settle();
  EXPECT_EQ(only(), restored);
}

// A migration to the same host may fail, and then the old one goes on.
TEST_F(DepartureTest, TheOldDomainIsOursWhileXlMakesAnotherOfItsUuid) {
  const unsigned domid = owned(config("web"));
  const unsigned received = host.add(config("web"));
  settle();
  ASSERT_TRUE(host.destroy(received));
  settle();
  host.at(domid).domain.shut_down(ShutdownReason::kReboot);
  settle();
  EXPECT_NE(only(), 0U);
  EXPECT_NE(only(), domid);
}

TEST_F(DepartureTest, TheSuccessorStaysOursWhenHadumpdIsStartedAgain) {
  const unsigned domid = owned(config("web"));
  host.at(domid).domain.shut_down(ShutdownReason::kReboot);
  settle();
  const unsigned second = only();
  EXPECT_EQ(record("web").domid, second);
  restart();
  settle();
  host.at(second).domain.shut_down(ShutdownReason::kReboot);
  pass(1s);
  settle();
  EXPECT_NE(only(), 0U);
  EXPECT_NE(only(), second);
}

TEST_F(DepartureTest, RenameRestartKeepsTheOldOne) {
  DomainConfig renamed = config("web");
  renamed.on_reboot = ShutdownAction::kRenameRestart;
  const unsigned domid = owned(renamed);
  host.at(domid).domain.shut_down(ShutdownReason::kReboot);
  settle();

  EXPECT_NE(only(), 0U);
  EXPECT_EQ(host.at(domid).config.name, "web-" + std::to_string(domid));
  settle();
  EXPECT_THAT(host.domains().value(), SizeIs(2)) << "the old one is not obeyed again";
}

// The old one is gone when this is found out: without another attempt the guest would be lost.
TEST_F(DepartureTest, CreatesADomainLaterWhenTheHostCannotNow) {
  const unsigned domid = owned(config("web"));
  host.fail_next("create", Error(ErrorCode::kOs, "libxl error -5, not enough memory"));
  host.at(domid).domain.shut_down(ShutdownReason::kReboot);
  settle();
  EXPECT_EQ(only(), 0U);
  EXPECT_EQ(state("web"), "retrying");
  EXPECT_THAT(view("web").note, HasSubstr("not enough memory"));

  pass(1s);
  settle();
  EXPECT_NE(only(), 0U);
  EXPECT_EQ(state("web"), "watching");
}

TEST_F(DepartureTest, TheNextHadumpdCreatesTheDomain) {
  const unsigned domid = owned(config("web"));
  host.fail_next("create", Error(ErrorCode::kOs, "killed"));
  host.at(domid).domain.shut_down(ShutdownReason::kReboot);
  settle();
  ASSERT_EQ(only(), 0U);

  restart();
  settle();

  EXPECT_NE(only(), 0U);
  EXPECT_EQ(state("web"), "watching");
  restart();
  settle();
  EXPECT_THAT(host.domains().value(), SizeIs(1)) << "and the one after it does not";
}

// A guest that shuts itself down in the middle of its dump: the successor has none.
TEST_F(DepartureTest, ASuccessorHasNoDumpOfTheOldDomain) {
  DomainConfig restarting = config("web");
  restarting.on_poweroff = ShutdownAction::kRestart;
  const unsigned domid = known(restarting);
  host.at(domid).domain.crash_again();
  settle();
  ASSERT_EQ(record("web").step, Step::kStarted);
  host.at(domid).store.keys[HADUMP_XS_STATE] = HADUMP_STATE_SAVING;
  pass(6s);
  settle();
  host.fail_next("create", Error(ErrorCode::kOs, "killed"));
  host.at(domid).domain.shut_down(ShutdownReason::kPoweroff);
  settle();
  EXPECT_EQ(record("web").step, Step::kDone) << "from before there is a successor";
}

TEST_F(DepartureTest, ADomainThatCannotBeCreatedIsGivenUpOnceAndTriedOnDemand) {
  const unsigned domid = owned(config("web"));
  int attempts = 0;
  host.watch([&](const std::string& what) { attempts += what == "create" ? 1 : 0; });
  host.fail_next("create", Error(ErrorCode::kBadData, "a blueprint that makes no sense"));
  host.at(domid).domain.shut_down(ShutdownReason::kReboot);
  settle();
  pass(1h);
  settle();
  EXPECT_EQ(state("web"), "failed");
  EXPECT_EQ(attempts, 1);

  ASSERT_TRUE(caretaker->trigger(domid, true));
  settle();
  EXPECT_NE(only(), 0U);
}

TEST_F(DepartureTest, AnAdminWhoDestroysADomainThatWaitsMeansIt) {
  const unsigned domid = owned(config("web"));
  for (int i = 0; i < 2; ++i) {
    host.at(only()).domain.shut_down(ShutdownReason::kReboot);
    settle();
  }
  host.at(only()).domain.shut_down(ShutdownReason::kReboot);
  settle();
  ASSERT_EQ(state("web"), "restarting") << "it waits, since it reboots all the time";
  ASSERT_NE(only(), domid);

  ASSERT_TRUE(host.destroy(only()));
  settle();
  pass(1h);
  settle();
  EXPECT_EQ(only(), 0U);
  EXPECT_THAT(caretaker->views(), IsEmpty());
}

TEST_F(DepartureTest, ARebootLoopHasARateLimit) {
  owned(config("web"));
  int restarts = 0;
  for (int second = 0; second < 600; ++second) {
    look();
    jobs.finish();
    look();
    jobs.finish();
    if (const unsigned domid = only(); domid != 0) {
      auto& domain = host.at(domid).domain;
      if (!domain.status()->shutdown) {
        domain.shut_down(ShutdownReason::kReboot);
        ++restarts;
      }
    }
    pass(1s);
  }
  // 0, 1, 2, 4, 8, 16, 32, 60, 60 … s
  EXPECT_GE(restarts, 10);
  EXPECT_LE(restarts, 20);
  EXPECT_THAT(view("web").note, HasSubstr("since it ran only briefly"));
}

TEST_F(DepartureTest, ADomainThatRanForAMinuteIsCreatedAtOnce) {
  owned(config("web"));
  for (int i = 0; i < 3; ++i) {
    const unsigned before = only();
    pass(61s);
    host.at(before).domain.shut_down(ShutdownReason::kReboot);
    settle();
    EXPECT_NE(only(), before);
  }
  EXPECT_EQ(record("web").quick_restarts, 0U);
}

class CoreTest : public DepartureTest {
 protected:
  CoreTest() { watched.on_watchdog = ShutdownAction::kCoredumpRestart; }
  void shut_down() {
    host.at(only()).domain.shut_down(ShutdownReason::kWatchdog);
    settle();
    pass(61s);
  }
  DomainConfig watched = config("web");
};

TEST_F(CoreTest, IsWrittenBeforeTheDomainGoes) {
  owned(watched);
  shut_down();

  ASSERT_THAT(core_files(), SizeIs(1));
  EXPECT_THAT(core_files().front(), testing::MatchesRegex("web-17[0-9]+\\.core"));
  EXPECT_EQ(state("web"), "watching");
}

TEST_F(CoreTest, ThereAreNoMoreThanAllowed) {
  ASSERT_TRUE(policies.add("cores", "max-count", "2"));
  caretaker->set_policies(policies);
  owned(watched);
  for (int i = 0; i < 4; ++i) shut_down();

  EXPECT_THAT(core_files(), SizeIs(2));
  EXPECT_EQ(state("web"), "watching") << "it is created again all the same";
}

TEST_F(CoreTest, OneThatFailsLeavesNothing) {
  owned(watched);
  host.fail_next("dump_core", Error(ErrorCode::kOs, "libxl error -3"));
  shut_down();

  EXPECT_THAT(core_files(), IsEmpty());
  EXPECT_EQ(state("web"), "watching");
}

}  // namespace
}  // namespace hadump
