// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/child_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/base/file.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

TEST(RunChildProgram, TellsHowItEnded) {
  EXPECT_EQ(run_child_program({{"/bin/sh", "-c", "exit 7"}})->status, 7);
  EXPECT_EQ(run_child_program({{"/bin/sh", "-c", "kill -9 $$"}})->signal, SIGKILL);
  EXPECT_EQ(run_child_program({{"/no/such"}}).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(run_child_program({{"/etc/passwd"}}).error().os_errno(), EACCES);
  // It reads nothing, has no signal blocked, and leads its own group.
  EXPECT_EQ(
      run_child_program({{"/bin/sh", "-c", "[ -z \"$(cat)\" ] && [ $(ps -o pgid= $$) = $$ ]"}})
          ->status,
      0);
}

TEST(RunChildProgram, HasNoSignalBlockedAndInheritsOnlyTheLock) {
  TemporaryDirectory dir;
  auto lock = open_file(dir / "lock", O_RDWR | O_CREAT, 0600);
  auto other = open_file(dir / "other", O_RDWR | O_CREAT, 0600);
  ASSERT_TRUE(lock && other);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, &old);
  const auto end = run_child_program(
      {{"/bin/sh", "-c",
        "ls -l /proc/self/fd | grep -q /lock$ && ! ls -l /proc/self/fd | grep -q /other$ && "
        "grep -q '^SigBlk:.0*$' /proc/self/status"},
       {lock->get()}});
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, 0);
}

// We ignore them for our own sake. A shell could not even set them back.
TEST(RunChildProgram, HasTheSignalsThatWeIgnore) {
  const auto pipe = std::signal(SIGPIPE, SIG_IGN);
  const auto size = std::signal(SIGXFSZ, SIG_IGN);
  const auto end =
      run_child_program({{"/bin/sh", "-c", "grep -q '^SigIgn:.*0..0...$' /proc/self/status"}});
  std::signal(SIGPIPE, pipe);
  std::signal(SIGXFSZ, size);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, 0);
}

// A saver is not to be killed for want of memory, but what it runs can be.
TEST(RunChildProgram, IsNotProtectedFromTheOomKiller) {
  const auto before = read_text_file("/proc/self/oom_score_adj", 100);
  ASSERT_TRUE(before);
  const auto set = [](const std::string& score) {
    return static_cast<bool>(std::ofstream("/proc/self/oom_score_adj") << score << std::flush);
  };
  const auto in_child = [](const std::string& score) {
    return run_child_program(
               {{"/bin/sh", "-c", "[ $(cat /proc/self/oom_score_adj) = " + score + " ]"}})
               ->status == 0;
  };
  ASSERT_TRUE(set("300"));
  EXPECT_TRUE(in_child("300"));
  if (set("-500")) {
    EXPECT_TRUE(in_child("0"));
  }
  set(*before);
}

TEST(RunChildProgram, StopsItAndWhatItHasStarted) {
  TemporaryDirectory dir;
  const auto begin = std::chrono::steady_clock::now();
  const std::string pid_file = dir / "pid";
  const auto end =
      run_child_program({{"/bin/sh", "-c", "sleep 60 & echo $! >" + pid_file + "; wait"}, {}, [&] {
                           return std::filesystem::exists(pid_file);
                         }});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->signal, SIGTERM);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

}  // namespace
}  // namespace hadump
