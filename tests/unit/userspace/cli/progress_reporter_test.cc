// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/progress_reporter.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

namespace hadump {
namespace {

using testing::HasSubstr;

class FakeClock : public Clock {
 public:
  std::chrono::milliseconds now() const override { return now_; }
  std::chrono::milliseconds now_{0};
};

SaveProgress half_way() {
  SaveProgress progress;
  progress.dump.frames_total = 1000;
  progress.dump.frames_done = 500;
  progress.dump.elapsed = std::chrono::seconds(10);
  progress.bytes_released = 1_MiB;
  return progress;
}

TEST(Progress, IsOneLineForPeopleAndOneObjectForPrograms) {
  EXPECT_THAT(progress_line(half_way()), HasSubstr("saving  50% of 3.906 MiB"));
  EXPECT_THAT(progress_json(half_way()), HasSubstr("\"pages_done\":500,"));
  EXPECT_THAT(progress_json(half_way()), HasSubstr("\"bytes_released\":1048576,"));
  EXPECT_EQ(progress_json(half_way()).find('\n'), std::string::npos);
}

TEST(Progress, IsShownEveryFiveSecondsInALogAndEachSecondToTheHost) {
  FakeClock clock;
  std::ostringstream out;
  int told = 0;
  ProgressReporter reporter(ProgressMode::kAuto, out, false, clock, [&](const std::string& line) {
    ++told;
    EXPECT_LE(line.size(), 200U);
  });
  for (int ms = 0; ms < 10'000; ms += 100) {
    clock.now_ = std::chrono::milliseconds(ms);
    reporter.update(half_way());
  }
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(told, 10);
}

TEST(Progress, RewritesItsLineOnATerminal) {
  FakeClock clock;
  std::ostringstream out;
  ProgressReporter reporter(ProgressMode::kAuto, out, true, clock, {});
  reporter.update(half_way());
  EXPECT_EQ(out.str().front(), '\r');
  EXPECT_EQ(out.str().find('\n'), std::string::npos);
  reporter.finish(half_way());
  EXPECT_EQ(out.str().back(), '\n');
}

}  // namespace
}  // namespace hadump
