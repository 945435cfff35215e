// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/stall_watch.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <vector>

namespace hadump {
namespace {

using namespace std::chrono_literals;

// The lines, and a way to wait for one.
class Lines {
 public:
  StallWatch::Report report() {
    return [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(line);
      wake_.notify_all();
    };
  }
  void wait_for(const std::string& line) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return std::count(lines_.begin(), lines_.end(), line) != 0; });
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return lines_.empty();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> lines_;
};

TEST(StallWatch, SaysWhereWorkStandsStillAndSaysItAgain) {
  Lines lines;
  StallWatch watch(lines.report());
  WatchedWork work(watch, "domain 3 (web)", 20ms);
  lines.wait_for("domain 3 (web): no progress for 0.02 s, before the first step");
  work.reached("cpu");
  lines.wait_for("domain 3 (web): no progress for 0.02 s, after step \"cpu\"");
  lines.wait_for("domain 3 (web): no progress for 0.04 s, after step \"cpu\"");
}

TEST(StallWatch, SaysNothingOfWorkThatGoesOnOrIsOver) {
  Lines lines;
  {
    StallWatch watch(lines.report());
    const StallWatch::Key key = watch.begin("domain 3 (web)", 1h);
    watch.reached(key, "cpu");
    watch.end(key);
    watch.reached(key, "of nothing");
  }
  EXPECT_TRUE(lines.empty());
}

// One that goes on is no reason to be silent about another.
TEST(StallWatch, WatchesSeveralAtOnce) {
  Lines lines;
  StallWatch watch(lines.report());
  WatchedWork moving(watch, "domain 3 (web)", 1h);
  const WatchedWork stuck(watch, "domain 4 (db)", 20ms);
  moving.reached("cpu");
  lines.wait_for("domain 4 (db): no progress for 0.02 s, before the first step");
}

// The thread sleeps to the end of a long patience when work with a short one begins.
TEST(StallWatch, TheNextWorkHasADeadlineOfItsOwn) {
  Lines lines;
  StallWatch watch(lines.report());
  {
    const WatchedWork patient(watch, "domain 3 (web)", 1h);
    std::this_thread::sleep_for(50ms);  // so that it does sleep; it is right without, too
  }
  const WatchedWork work(watch, "domain 4 (db)", 20ms);
  lines.wait_for("domain 4 (db): no progress for 0.02 s, before the first step");
}

}  // namespace
}  // namespace hadump
