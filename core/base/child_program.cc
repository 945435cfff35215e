// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/child_program.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <span>
#include <thread>

#include "core/base/unique_handle.h"

namespace hadump {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(50);
constexpr auto kTermPatience = std::chrono::seconds(10);

bool share(std::span<const int> fds) {
  for (const int fd : fds)
    if (::fcntl(fd, F_SETFD, 0) != 0) return false;
  return true;
}

/// A saver is protected, so that its window does not stay small. What it runs can be killed for
/// want of memory. Without /proc nothing is protected either.
void give_up_protection() {
  const int fd = ::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
  char sign = 0;
  if (fd >= 0 && ::pread(fd, &sign, 1, 0) == 1 && sign == '-')
    static_cast<void>(!::pwrite(fd, "0", 1, 0));
}

/// In the child, between fork() and execv(): only what POSIX allows beside threads.
[[noreturn]] void become(char* const* words, std::span<const int> shared_fds, pid_t parent,
                         int report_fd) {
  sigset_t none;
  sigemptyset(&none);
  // Ignored by our programs for their own sake (run_program()), and exec keeps that.
  static_cast<void>(::signal(SIGPIPE, SIG_DFL));
  static_cast<void>(::signal(SIGXFSZ, SIG_DFL));
  give_up_protection();
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const bool ready = ::setpgid(0, 0) == 0 && ::prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 &&
                     ::getppid() == parent && nothing >= 0 && ::dup2(nothing, 0) == 0 &&
                     ::dup2(2, 1) == 1 && share(shared_fds) &&
                     ::pthread_sigmask(SIG_SETMASK, &none, nullptr) == 0;
  if (ready) ::execv(words[0], words);
  const int why = errno;
  static_cast<void>(!::write(report_fd, &why, sizeof(why)));
  ::_exit(127);
}

/// @return the errno with which the program could not be started; 0 when it was.
int wait_for_start(UniqueFd report) {
  int why = 0;
  ssize_t got = 0;
  do {
    got = ::read(report.get(), &why, sizeof(why));
  } while (got < 0 && errno == EINTR);
  return got == sizeof(why) ? why : 0;
}

ProgramEnd wait_for_end(pid_t child, const std::function<bool()>& cancelled) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point asked{};
  int status = 0;
  for (;;) {
    const pid_t done = ::waitpid(child, &status, WNOHANG);
    if (done == child || (done < 0 && errno != EINTR)) break;
    const bool was_asked = asked != Clock::time_point{};
    if (!was_asked && cancelled && cancelled()) {
      static_cast<void>(::kill(-child, SIGTERM));
      asked = Clock::now();
    } else if (was_asked && Clock::now() - asked > kTermPatience) {
      static_cast<void>(::kill(-child, SIGKILL));
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  // What it has started and left behind is stopped as well.
  if (asked != Clock::time_point{}) static_cast<void>(::kill(-child, SIGKILL));
  if (WIFSIGNALED(status)) return {0, WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

}  // namespace

Result<ProgramEnd> run_child_program(const ProgramCall& call) {
  std::vector<char*> words;
  for (const std::string& word : call.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_os(errno, "starting " + call.words.front());
  UniqueFd from(ends[0]), to(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail_os(errno, "starting " + call.words.front());
  if (child == 0) become(words.data(), call.shared_fds, parent, to.get());
  to.reset();
  const int why = wait_for_start(std::move(from));
  const ProgramEnd end = wait_for_end(child, call.cancelled);
  if (why != 0) return fail_os(why, "starting " + call.words.front());
  return end;
}

}  // namespace hadump
