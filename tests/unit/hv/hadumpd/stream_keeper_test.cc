// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/stream_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/abi/hadump_abi.h"
#include "tests/fakes/manual_jobs.h"
#include "tests/unit/hv/hadumpd/caretaker_fixture.h"

namespace hadump {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr unsigned kWeb = 7;
constexpr unsigned kDb = 9;

class StreamKeeperTest : public testing::Test {
 protected:
  void look() { keeper.look(guests, offers, limits); }
  void offer(unsigned domid, unsigned slot, const std::string& id) {
    offers[domid].keys[std::to_string(slot)] = id;
  }
  void end(unsigned domid, unsigned slot) {
    jobs.work(domid * HADUMP_XS_STREAM_SLOTS + slot);
    look();
  }

  std::map<unsigned, StreamGuest> guests{{kWeb, {"web", "uuid-web", {.allowed = true}}}};
  std::map<unsigned, GuestNews> offers;
  StreamLimits limits{.directory = "/d"};
  std::chrono::milliseconds now = 1h;
  std::optional<Error> failure;
  ManualJobs jobs;
  StreamKeeper keeper{{jobs,
                       [this](const StreamTask&) -> Result<ReceivedStream> {
                         if (failure) return tl::unexpected(*failure);
                         return ReceivedStream{"vmcore", 1};
                       },
                       [] { return std::uint64_t{5}; }, [this] { return now; }}};
};

TEST_F(StreamKeeperTest, ServesEachOfferOnce) {
  look();
  EXPECT_THAT(jobs.waiting(), IsEmpty());
  offer(kWeb, 1, "a");
  look();
  EXPECT_THAT(jobs.waiting(), ElementsAre("domain 7 (web): stream 1"));
  ASSERT_EQ(keeper.views().size(), 1U);
  EXPECT_EQ(keeper.views()[0].domain, "web");
  end(kWeb, 1);
  look();
  EXPECT_THAT(jobs.waiting(), IsEmpty()) << "the key is still there, but its stream is over";
  EXPECT_THAT(keeper.views(), IsEmpty());
  offer(kWeb, 1, "b");
  look();
  EXPECT_EQ(jobs.waiting().size(), 1U) << "another id is another stream";
}

TEST_F(StreamKeeperTest, ServesSeveralAtOnce) {
  guests[kDb] = {"db", "uuid-db", {.allowed = true}};
  offer(kWeb, 0, "a");
  offer(kWeb, 3, "b");
  offer(kDb, 0, "a");
  look();
  EXPECT_EQ(jobs.waiting().size(), 3U);
}

TEST_F(StreamKeeperTest, ServesNobodyWhoMayNot) {
  offer(kDb, 0, "a");
  look();
  EXPECT_THAT(jobs.waiting(), IsEmpty());
}

TEST_F(StreamKeeperTest, ServesTheSameIdOfAnotherDomain) {
  offer(kWeb, 0, "a");
  look();
  end(kWeb, 0);
  guests[kWeb].uuid = "uuid-other";
  look();
  EXPECT_EQ(jobs.waiting().size(), 1U);
}

TEST_F(StreamKeeperTest, KeepsToTheLimitOfTheHost) {
  limits.max_running = 1;
  offer(kWeb, 0, "a");
  offer(kWeb, 1, "b");
  look();
  EXPECT_EQ(jobs.waiting().size(), 1U);
  end(kWeb, 0);
  look();
  EXPECT_THAT(jobs.waiting(), ElementsAre("domain 7 (web): stream 1")) << "the other's turn";
}

TEST_F(StreamKeeperTest, LetsAGuestWaitWhoseStreamsFail) {
  guests[kDb] = {"db", "uuid-db", {.allowed = true}};
  failure = Error(ErrorCode::kBadData, "garbage");
  offer(kWeb, 0, "a");
  look();
  end(kWeb, 0);
  offer(kWeb, 0, "b");
  offer(kDb, 0, "a");
  look();
  EXPECT_THAT(jobs.waiting(), ElementsAre("domain 9 (db): stream 0")) << "others do not wait";
  now += 1s;
  look();
  EXPECT_EQ(jobs.waiting().size(), 2U);
  end(kWeb, 0);
  offer(kWeb, 0, "c");
  now += 1s;
  look();
  EXPECT_THAT(jobs.waiting(), ElementsAre("domain 9 (db): stream 0")) << "longer each time";
}

TEST_F(StreamKeeperTest, TriesAgainWithoutAThread) {
  jobs.refuse_next();
  offer(kWeb, 0, "a");
  look();
  EXPECT_THAT(jobs.waiting(), IsEmpty());
  look();
  EXPECT_EQ(jobs.waiting().size(), 1U);
}

TEST_F(CaretakerTest, LetsThoseSendWhosePolicySaysSo) {
  const unsigned web = known(config("web"));
  EXPECT_THAT(caretaker->stream_guests(), IsEmpty()) << "nobody, unless an admin wants it";
  ASSERT_TRUE(policies.add("domain web", "stream", "yes"));
  ASSERT_TRUE(policies.add("domain web", "stream-max-size", "1M"));
  caretaker->set_policies(policies);
  caretaker->reconsider();
  ASSERT_TRUE(caretaker->look_around());
  jobs.finish();
  const auto guests = caretaker->stream_guests();
  ASSERT_TRUE(guests.contains(web));
  EXPECT_EQ(guests.at(web).name, "web");
  EXPECT_EQ(guests.at(web).policy.max_bytes, 1U << 20);
}

}  // namespace
}  // namespace hadump
