// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/signal_stop.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>

namespace hadump {
namespace {

void wait_until_requested(const SignalStop& stop) {
  while (!stop.requested()) ::usleep(1000);
}

TEST(SignalStop, IsAskedForByASignal) {
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    const SignalStop stop;
    EXPECT_FALSE(stop.requested());
    ASSERT_EQ(::kill(::getpid(), number), 0);
    wait_until_requested(stop);
  }
}

// nohup(1) and a shell that starts something in the background mean it.
TEST(SignalStop, LeavesWhatIsIgnoredIgnored) {
  sigset_t both;  // An earlier test's SignalStop has blocked them.
  sigemptyset(&both);
  sigaddset(&both, SIGINT);
  sigaddset(&both, SIGHUP);
  for (const int number : {SIGINT, SIGHUP}) {
    // What is blocked is not ignored, but waits.
    pthread_sigmask(SIG_UNBLOCK, &both, nullptr);
    auto* const before = std::signal(number, SIG_IGN);
    {
      const SignalStop stop;
      ASSERT_EQ(::kill(::getpid(), number), 0);
      ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
      wait_until_requested(stop);
    }
    std::signal(number, before);
  }
  sigset_t pending;
  ASSERT_EQ(sigpending(&pending), 0);
  EXPECT_EQ(sigismember(&pending, SIGHUP), 0) << "the next test would take it for its own";
}

TEST(SignalStop, EndsWithoutASignal) {
  for (int i = 0; i < 100; ++i) {
    const SignalStop stop;
    EXPECT_FALSE(stop.requested()) << "what ended the one before is no request";
  }
  sigset_t pending;
  ASSERT_EQ(sigpending(&pending), 0);
  EXPECT_EQ(sigismember(&pending, SIGTERM), 0);
}

TEST(SignalStopDeathTest, IsNotWaitedForTwice) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const SignalStop stop;
        ::kill(::getpid(), SIGTERM);
        wait_until_requested(stop);
        ::kill(::getpid(), SIGTERM);
        for (;;) ::pause();
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace hadump
