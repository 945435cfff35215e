// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/round_clock.h"

#include <gtest/gtest.h>

namespace hadump {
namespace {

using std::chrono::milliseconds;

struct RoundClockTest : testing::Test {
  milliseconds now{5000};
  RoundClock clock{[this] { return now; }};

  void part(const char* name, int took, int allowed = 0) {
    now += milliseconds(took);
    clock.ended(name, milliseconds(allowed));
  }
};

TEST_F(RoundClockTest, NamesWhatWasSlow) {
  part("jobs", 1200);
  part("guests", 20);
  part("domains", 300);
  EXPECT_EQ(clock.next_round(), "a round of the event loop took 1520 ms: jobs=1200 domains=300");
  EXPECT_EQ(clock.next_round(), "");
}

TEST_F(RoundClockTest, WaitingIsNotSlow) {
  part("events", 1000, 1000);
  part("clients", 10);
  EXPECT_EQ(clock.next_round(), "");
}

TEST_F(RoundClockTest, WaitingLongerThanMeantIs) {
  part("events", 4000, 1000);
  EXPECT_EQ(clock.next_round(), "a round of the event loop took 3000 ms: events=3000");
}

// An event that came early makes nothing else allowed.
TEST_F(RoundClockTest, AnEarlyEventHidesNothing) {
  part("events", 10, 1000);
  part("clients", 1500);
  EXPECT_EQ(clock.next_round(), "a round of the event loop took 1500 ms: clients=1500");
}

}  // namespace
}  // namespace hadump
