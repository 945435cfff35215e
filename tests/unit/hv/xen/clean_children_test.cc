// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/clean_children.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "hv/xen/handles.h"

// xentoolcore_internal.h, which is not installed.
extern "C" void xentoolcore__register_active_handle(void* handle);
extern "C" void xentoolcore__deregister_active_handle(void* handle);
extern "C" void* xencall_alloc_buffer_pages(void* handle, std::size_t pages);
extern "C" void xencall_free_buffer_pages(void* handle, void* buffer, std::size_t pages);

namespace hadump {
namespace {

/// A function and the links of a list.
struct ActiveHandle {
  void* words[8] = {};
};

std::string content_of(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// What a program that such a child becomes says about itself.
std::string seen_by_a_child(const char* command) {
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) return "no pipe";
  const pid_t child = fork_clean_child();
  if (child == 0) {
    static_cast<void>(dup2(pipes[1], STDOUT_FILENO));
    execl("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr));
    _exit(127);
  }
  close(pipes[1]);
  std::string text;
  char buffer[256];
  for (ssize_t got = 0; (got = read(pipes[0], buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  close(pipes[0]);
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) return "the child failed";
  return text;
}

TEST(CleanChild, HasNoSignalBlocked) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&blocked, signal);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);

  EXPECT_EQ(seen_by_a_child("grep SigBlk /proc/self/status"), "SigBlk:\t0000000000000000\n");

  // And can be ended, which is what it is for.
  const pid_t child = fork_clean_child();
  if (child == 0)
    for (;;) pause();
  ASSERT_EQ(kill(child, SIGTERM), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);

  sigset_t now;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &before, &now), 0);
  EXPECT_TRUE(sigismember(&now, SIGTERM)) << "ours are blocked as before";
}

// In a process of its own, since not everybody may take such a score back.
TEST(CleanChild, IsNotProtectedFromTheOutOfMemoryKiller) {
  const pid_t protected_one = fork();
  if (protected_one == 0) {
    std::ofstream("/proc/self/oom_score_adj") << "-900" << std::flush;
    if (content_of("/proc/self/oom_score_adj") != "-900\n") _exit(77);
    const bool clean = seen_by_a_child("cat /proc/self/oom_score_adj") == "0\n";
    const bool unchanged = content_of("/proc/self/oom_score_adj") == "-900\n";
    _exit(clean && unchanged ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(protected_one, &status, 0), protected_one);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "only root may protect a process";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(CleanChild, KeepsAScoreThatMakesItTheFirstToGo) {
  const pid_t doomed = fork();
  if (doomed == 0) {
    std::ofstream("/proc/self/oom_score_adj") << "500" << std::flush;
    _exit(seen_by_a_child("cat /proc/self/oom_score_adj") == "500\n" ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(doomed, &status, 0), doomed);
  EXPECT_EQ(status, 0);
}

// As systemd's PrivateMounts= and PrivateNetwork= confine the service.
TEST(CleanChild, IsInTheHostsNamespaces) {
  const pid_t confined = fork();
  if (confined == 0) {
    const char* show = "readlink /proc/self/ns/mnt /proc/self/ns/net; pwd";
    const std::string outside = seen_by_a_child(show);
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0 || access("/proc/1/ns/mnt", R_OK) != 0) _exit(77);
    _exit(seen_by_a_child(show) == outside ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(confined, &status, 0), confined);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no namespaces can be made here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// A child that does `work` and ends, as libxl's that destroys a domain. False: it hung, and was
// killed.
bool child_ends(const std::function<void()>& work) {
  using namespace std::chrono_literals;
  const pid_t child = fork_clean_child();
  if (child == 0) {
    work();
    _exit(0);
  }
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (waitpid(child, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
      return false;
    }
    std::this_thread::sleep_for(200us);
  }
  return true;
}

// As every Xen library does when it opens and closes a handle. They allocate nothing: unlike
// glibc's, the sanitizer's allocator has locks that fork() copies.
TEST(CleanChild, CanOpenHandlesWhateverOtherThreadsDo) {
  XenLog quiet([](const std::string&) {});
  // Nowhere but on Xen can one be opened, but what hangs comes before that is found out.
  const auto open = [&quiet] { static_cast<void>(XenHandles::open(quiet)); };
  std::atomic<bool> over = false;
  std::vector<std::jthread> others;
  for (int i = 0; i < 3; ++i)
    others.emplace_back([&over] {
      ActiveHandle handle;
      while (!over) {
        xentoolcore__register_active_handle(&handle);
        xentoolcore__deregister_active_handle(&handle);
      }
    });
  bool all_end = true;
  for (int i = 0; i < 100 && all_end; ++i) all_end = child_ends(open);
  over = true;
  EXPECT_TRUE(all_end) << "a child waits forever for the lock of xentoolcore's list";
}

// As far as the cache of buffers needs it: none can be opened here. tools/libs/call/private.h of
// Xen 4.17.
struct CallHandle {
  void* loggers[2] = {};
  unsigned flags = 0;
  int fd = -1;
  int buffer_fd = -1;  // buffers are anonymous memory
  char rest[512] = {};
};

// As every hypercall with a buffer does.
TEST(CleanChild, CanMakeHypercallsWhateverOtherThreadsDo) {
  const auto use_a_buffer = [](CallHandle& handle) {
    void* const buffer = xencall_alloc_buffer_pages(&handle, 1);
    xencall_free_buffer_pages(&handle, buffer, 1);
    return buffer != nullptr;
  };
  std::atomic<bool> over = false;
  std::atomic<bool> all_have_memory = true;
  std::vector<std::jthread> others;
  for (int i = 0; i < 3; ++i)
    others.emplace_back([&] {
      CallHandle handle;
      while (!over)
        if (!use_a_buffer(handle)) all_have_memory = false;
    });
  bool all_end = true;
  CallHandle own;
  for (int i = 0; i < 100 && all_end; ++i) all_end = child_ends([&] { use_a_buffer(own); });
  over = true;
  EXPECT_TRUE(all_end) << "a child waits forever for the lock of xencall's cache";
  EXPECT_TRUE(all_have_memory);
}

TEST(CleanChild, WaitsForNoLockOfTheLog) {
  std::mutex mutex;
  XenLog log([&](const std::string&) { const std::lock_guard lock(mutex); });
  const std::lock_guard as_another_thread_would(mutex);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(child_ends([&log] { static_cast<void>(XenHandles::open(log)); }));
  const std::string said = testing::internal::GetCapturedStderr();
  const bool on_xen = access("/dev/xen/privcmd", F_OK) == 0;
  EXPECT_TRUE(on_xen || said.find("privileged") != std::string::npos) << said;
}

}  // namespace
}  // namespace hadump
