// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <csignal>
#include <thread>

namespace hadump {

/// Turns SIGTERM, SIGINT and SIGHUP into a question that can be asked: "stop now?". A second signal
/// ends the process the ordinary way. SIGINT and SIGHUP stay ignored where they were (nohup, a
/// script's background). Blocks the signals for the calling thread and those it starts, so make it
/// before any thread.
class SignalStop {
 public:
  SignalStop();
  ~SignalStop();
  SignalStop(const SignalStop&) = delete;
  SignalStop& operator=(const SignalStop&) = delete;

  bool requested() const { return requested_.load(std::memory_order_relaxed); }

 private:
  void wait_for_signals();

  sigset_t signals_{};
  std::atomic<bool> requested_{false};
  std::atomic<bool> done_{false};
  std::thread waiter_;
};

}  // namespace hadump
