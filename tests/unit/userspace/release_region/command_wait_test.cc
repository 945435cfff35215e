// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_wait.h"

#include <gmock/gmock.h>

#include "tests/unit/userspace/release_region/with_sysfs.h"
#include "userspace/cli/exit_codes.h"

namespace hadump {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class SteppedClock : public Clock {
 public:
  std::chrono::milliseconds now() const override { return now_; }
  std::chrono::milliseconds now_{0};
};

// Each pause takes a second, and what happens then is said beforehand.
class WaitTest : public WithSysfs {
 protected:
  WaitTest() {
    std::filesystem::create_directories(dir_ / "blocks/memory8");
    write("blocks/memory8/state", "online\n");
    write("meminfo", "MemTotal:      262144 kB\nMemAvailable:    1024 kB\n");
  }
  int wait(const WaitOptions& options) {
    return run_wait(options,
                    {root(), dir_ / "blocks", dir_ / "meminfo", clock_,
                     [this] {
                       clock_.now_ += seconds(1);
                       ++pauses_;
                       if (pauses_ == over_after_) std::filesystem::remove(dir_ / "release_region");
                       if (pauses_ == event_after_) event_();
                     }},
                    io_);
  }

  SteppedClock clock_;
  int pauses_ = 0;
  int over_after_ = 0;
  int event_after_ = 0;
  std::function<void()> event_ = [] {};
};

TEST_F(WaitTest, EndsWhenNoDumpWaits) {
  over_after_ = 3;
  EXPECT_EQ(wait({}), kExitOk);
  EXPECT_EQ(pauses_, 3);
  EXPECT_EQ(wait({}), kExitOk);
  EXPECT_EQ(pauses_, 3);  // at once
}

TEST_F(WaitTest, EndsWhenEnoughIsAvailable) {
  event_after_ = 5;
  event_ = [this] { write("meminfo", "MemTotal: 9 kB\nMemAvailable:   524288 kB\n"); };
  EXPECT_EQ(wait({.memory = 512ULL << 20}), kExitOk);
  EXPECT_EQ(pauses_, 5);
}

// A machine that never had so much must not wait for ever.
TEST_F(WaitTest, EndsWithTheDumpThoughThereIsLess) {
  over_after_ = 2;
  EXPECT_EQ(wait({.memory = 1ULL << 40}), kExitOk);
  EXPECT_EQ(pauses_, 2);
}

TEST_F(WaitTest, WaitsForBlocksToComeOnline) {
  write("blocks/memory8/state", "offline\n");
  over_after_ = 2;
  event_after_ = 6;
  event_ = [this] { write("blocks/memory8/state", "online\n"); };
  EXPECT_EQ(wait({}), kExitOk);
  EXPECT_EQ(pauses_, 6);
}

TEST_F(WaitTest, DoesNotWaitForABlockThatStaysOffline) {
  write("blocks/memory8/state", "offline\n");
  over_after_ = 2;
  EXPECT_EQ(wait({}), kExitOk);
  EXPECT_EQ(pauses_, 12);
}

TEST_F(WaitTest, GivesUpWhenItsTimeIsOver) {
  EXPECT_EQ(wait({.timeout = seconds(7)}), kExitFailed);
  EXPECT_EQ(pauses_, 7);
  EXPECT_THAT(err_.str(), HasSubstr("memory is still held after 7 s"));
}

TEST_F(WaitTest, TakesAFileWithoutTheLineForNothing) {
  for (const char* text : {"", "MemAvailable:", "MemAvailable: x kB\n", "MemAvailable:  \n"}) {
    write("meminfo", text);
    EXPECT_EQ(wait({.memory = 1, .timeout = seconds(1)}), kExitFailed) << text;
  }
}

TEST(ParseWait, TakesSizesAndSeconds) {
  const auto options = parse_wait({"--memory", "8G", "--timeout", "60"});
  ASSERT_TRUE(options) << options.error().what();
  EXPECT_EQ(options->memory, 8ULL << 30);
  EXPECT_EQ(options->timeout, seconds(60));
  EXPECT_FALSE(parse_wait({})->memory);
  for (const std::vector<std::string>& bad : std::vector<std::vector<std::string>>{
           {"--memory", "much"}, {"--timeout", "99999999999"}, {"--timeout", "-1"}, {"now"}})
    EXPECT_FALSE(parse_wait(bad)) << bad.back();
}

}  // namespace
}  // namespace hadump
