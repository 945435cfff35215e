// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/run_queue_clock.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <thread>

namespace hadump {
namespace {

using namespace std::chrono_literals;

TEST(RunQueueClock, GoesOnInASleep) {
  const RunQueueClock clock;
  const auto begun = clock.now();
  std::this_thread::sleep_for(50ms);
  EXPECT_GE(clock.now() - begun, 40ms);
}

TEST(RunQueueClock, StandsStillWhileOthersHaveTheCpu) {
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  std::thread([&] {
    ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
    std::atomic<bool> stop{false};
    std::thread other([&] {  // On the same CPU, which it inherits.
      while (!stop) {
      }
    });
    const RunQueueClock clock;
    const auto begun = clock.now();
    const auto wall_begun = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - wall_begun < 400ms) {
    }
    const auto wall = std::chrono::steady_clock::now() - wall_begun;
    EXPECT_LT(clock.now() - begun, wall * 3 / 4);
    stop = true;
    other.join();
  }).join();
}

}  // namespace
}  // namespace hadump
