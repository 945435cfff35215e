// SPDX-License-Identifier: GPL-2.0-or-later
// Domains that appear: they are looked at, and their guests are told.
#include <gmock/gmock.h>

#include <cerrno>
#include <string>

#include "core/abi/hadump_abi.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using namespace std::chrono_literals;

class CaretakerAdoptTest : public CaretakerTest {};

TEST_F(CaretakerAdoptTest, WatchesADomainAndTellsItsGuest) {
  const unsigned domid = known(config("web"));

  EXPECT_EQ(state("web"), "watching");
  EXPECT_EQ(host.at(domid).store.published.at(HADUMP_XS_AGENT_STATE), "watching");
  EXPECT_EQ(host.at(domid).store.published.at(HADUMP_XS_AGENT_WINDOW), std::to_string(256_MiB));
}

// A migration to the same host, or xl's own restart that was faster than our look.
TEST_F(CaretakerAdoptTest, ForgetsADomainAlsoWhenAnotherOneHasItsUuid) {
  const unsigned old = known(config("web"));
  const unsigned young = known(config("web"));
  EXPECT_THAT(caretaker->views(), testing::SizeIs(2));
  ASSERT_TRUE(host.destroy(old));
  settle();
  ASSERT_THAT(caretaker->views(), testing::SizeIs(1));
  EXPECT_EQ(caretaker->views().front().domid, young);
  EXPECT_EQ(state("web"), "watching");
}

TEST_F(CaretakerAdoptTest, AnUnfinishedDepartureEndsWithItsDomain) {
  const unsigned old = owned(config("web"));
  host.fail_next("config", Error(ErrorCode::kOs, "libxl error -3"));
  host.at(old).domain.shut_down(ShutdownReason::kReboot);
  settle();
  ASSERT_EQ(host.with_uuid("uuid-of-web"), std::vector{old}) << "it waits for another attempt";
  ASSERT_TRUE(host.destroy(old));  // by an admin, who creates it again
  const unsigned young = known(config("web"));
  pass(1h);
  settle();
  ASSERT_THAT(caretaker->views(), testing::SizeIs(1));
  EXPECT_EQ(caretaker->views().front().domid, young);
  EXPECT_EQ(state("web"), "watching");
}

TEST_F(CaretakerAdoptTest, SaysWhyADomainIsNotWatched) {
  DomainConfig other = config("other");
  other.on_crash = ShutdownAction::kDestroy;
  const unsigned domid = known(other);

  EXPECT_EQ(state("other"), "ignored");
  EXPECT_THAT(view("other").note, HasSubstr("on_crash"));
  EXPECT_THAT(host.at(domid).store.published, IsEmpty());
  EXPECT_FALSE(caretaker->trigger(domid, false));
  host.at(domid).domain.crash_again();
  settle();
  EXPECT_THAT(rescued, IsEmpty());
}

// Early in its creation the toolstack has nothing about it.
TEST_F(CaretakerAdoptTest, LooksAgainAtADomainWithoutAConfiguration) {
  const unsigned domid = host.add(config("web"));
  host.at(domid).has_configuration = false;
  settle();
  EXPECT_THAT(caretaker->views(), IsEmpty());

  host.at(domid).has_configuration = true;
  settle();
  EXPECT_THAT(caretaker->views(), IsEmpty()) << "it is not asked all the time";
  pass(1s);
  settle();
  EXPECT_EQ(state("web"), "watching");
}

// A crash of it would be left to xl, and nobody would know why.
TEST_F(CaretakerAdoptTest, ShowsADomainThatItCannotAskAbout) {
  const unsigned domid = host.add(config("web"));
  host.at(domid).has_configuration = false;
  for (int i = 0; i < 70; ++i) {
    look();
    jobs.finish();
    pass(1s);
  }
  ASSERT_EQ(caretaker->views().size(), 1U);
  const DomainView shown = caretaker->views().front();
  EXPECT_EQ(shown.domid, domid);
  EXPECT_EQ(shown.uuid, "uuid-of-web");
  EXPECT_EQ(shown.state, "unknown");
  EXPECT_THAT(shown.note, HasSubstr("no configuration"));

  host.at(domid).has_configuration = true;
  pass(1min);
  settle();
  EXPECT_EQ(caretaker->views().size(), 1U);
  EXPECT_EQ(state("web"), "watching");
}

TEST_F(CaretakerAdoptTest, TellsAGuestLaterWhatItCouldNotBeToldAtOnce) {
  set_policies("window", "256M");
  const unsigned domid = host.add(config("web"));
  host.at(domid).store.hook = [fails = 2](const std::string& call) mutable -> Result<> {
    if (call == "publish" && fails-- > 0) return fail_os(EAGAIN, "writing to xenstore");
    return {};
  };
  look();
  jobs.finish();  // while it is looked at for the first time
  look();
  jobs.finish();
  EXPECT_THAT(view("web").note, HasSubstr("writing to xenstore"));
  const std::size_t told = host.at(domid).store.published.size();
  look();
  jobs.finish();
  EXPECT_EQ(host.at(domid).store.published.size(), told) << "not before its time";
  pass(1s);
  settle();
  EXPECT_THAT(view("web").note, Not(HasSubstr("xenstore")));
  EXPECT_TRUE(host.at(domid).store.published.contains(HADUMP_XS_AGENT_MODE));
  EXPECT_TRUE(host.at(domid).store.published.contains(HADUMP_XS_AGENT_VERSION));
}

// Each waits for a ramdisk on a server that is gone, say.
TEST_F(CaretakerAdoptTest, DomainsThatCannotBeLookedAtDoNotStopTheOthers) {
  for (int i = 0; i < 40; ++i) host.add(config("stuck-" + std::to_string(i)));
  look();  // none of these jobs ever ends
  const unsigned domid = host.add(config("web"));
  look();
  EXPECT_EQ(jobs.waiting().size(), 32U) << "when hundreds are there, they take turns";
  pass(10s);
  look();
  jobs.work(domid);
  jobs.collect();
  EXPECT_EQ(state("web"), "watching");
}

}  // namespace
}  // namespace hadump
