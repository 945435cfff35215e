// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/save_lock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>

#include "core/base/file.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

using testing::HasSubstr;

class Locking : public testing::Test {
 protected:
  TemporaryDirectory dir_;
  std::string path_ = dir_ / "state/id.lock";
};

TEST_F(Locking, TheSecondLearnsWhoTheFirstIs) {
  const auto first = SaveLock::take(path_, "process 7 (release-region), to /crash");
  ASSERT_TRUE(first) << first.error().what();
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  const auto second = SaveLock::take(path_, "another");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(second.error().what(), HasSubstr("process 7 (release-region), to /crash"));
}

TEST_F(Locking, IsFreeAfterItsEndAndLeavesNothing) {
  ASSERT_TRUE(SaveLock::take(path_, "one"));
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "state"));
  EXPECT_TRUE(SaveLock::take(path_, "two"));
}

// The file of a holder that was killed stays, and says nothing.
TEST_F(Locking, DiesWithItsHolder) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = SaveLock::take(path_, "the child");
    static_cast<void>(!::write(ready[1], lock ? "y" : "n", 1));
    for (;;) ::pause();
  }
  char answer = 'n';
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_THAT(SaveLock::take(path_, "me").error().what(), HasSubstr("the child"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(std::filesystem::exists(path_));
  EXPECT_TRUE(SaveLock::take(path_, "me"));
}

TEST_F(Locking, FollowsNoLinkAndTakesNoOtherFile) {
  std::filesystem::create_directory(dir_ / "state");
  ASSERT_TRUE(write_file_atomically(dir_ / "precious", "content", 0644));
  std::filesystem::create_symlink(dir_ / "precious", path_);
  EXPECT_FALSE(SaveLock::take(path_, "me"));
  EXPECT_EQ(*read_text_file(dir_ / "precious", 100), "content");
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(SaveLock::take(path_, "me"));
}

TEST_F(Locking, WaitsUntilItIsFree) {
  std::optional<SaveLock> first(std::move(*SaveLock::take(path_, "one")));
  std::atomic<int> told = 0;
  std::thread waiter([&] {
    const auto second = SaveLock::wait(path_, "two",
                                       [&](const std::string& who) {
                                         EXPECT_THAT(who, HasSubstr("one"));
                                         ++told;
                                       },
                                       {});
    EXPECT_TRUE(second);
  });
  while (told == 0) std::this_thread::yield();
  first.reset();
  waiter.join();
  EXPECT_EQ(told, 1);
}

TEST_F(Locking, WaitingCanBeStopped) {
  const auto first = SaveLock::take(path_, "one");
  EXPECT_EQ(SaveLock::wait(path_, "two", {}, [] { return true; }).error().code(),
            ErrorCode::kCancelled);
}

// Taking and leaving at once, no two have it together.
TEST_F(Locking, IsHeldByOneAtATime) {
  std::atomic<int> holders = 0, most = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int taken = 0; taken < 200;) {
        const auto lock = SaveLock::take(path_, "one of four");
        if (!lock) continue;
        ++taken;
        if (++holders > 1) most = 2;
        std::this_thread::yield();
        --holders;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, 0);
}

}  // namespace
}  // namespace hadump
