// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/signal_stop.h"

#include <pthread.h>

#include <system_error>

namespace hadump {
namespace {

/// A signal that is blocked would arrive all the same.
bool is_ignored(int number) {
  struct sigaction action {};
  return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

SignalStop::SignalStop() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  for (const int number : {SIGINT, SIGHUP})
    if (!is_ignored(number)) sigaddset(&signals_, number);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  try {
    waiter_ = std::thread([this] { wait_for_signals(); });
  } catch (const std::system_error&) {  // No room for a thread: signals end the process at once.
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  }
}

void SignalStop::wait_for_signals() {
  for (;;) {
    const int number = sigwaitinfo(&signals_, nullptr);
    if (done_) return;
    if (number < 0) continue;
    if (!requested_.exchange(true)) continue;
    // Asked twice: the user does not want to wait for the portion. Held memory stays held.
    std::signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
    raise(number);
  }
}

SignalStop::~SignalStop() {
  if (!waiter_.joinable()) return;
  done_ = true;
  // Blocked there: it only ends the wait.
  // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread)
  pthread_kill(waiter_.native_handle(), SIGTERM);
  waiter_.join();
}

}  // namespace hadump
