// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <utility>

#include "core/base/error.h"
#include "core/base/unique_handle.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/hadumpd/guest_observer.h"
#include "hv/hadumpd/options.h"
#include "hv/hadumpd/round_clock.h"
#include "hv/hadumpd/startup.h"
#include "hv/hadumpd/status_server.h"
#include "hv/hadumpd/stream_side.h"
#include "hv/hadumpd/wakeup.h"
#include "hv/xen/xen_watcher.h"

namespace hadump {

class Requests;

/// Blocks SIGTERM, SIGINT and SIGHUP for this thread and those that it starts. @return a signalfd.
Result<UniqueFd> take_signals();

/// hadumpd's event loop: takes in what has happened, lets the caretaker decide, answers clients.
/// Everything that may take long is a job's, so that a round is short: each tells systemd's
/// watchdog that the loop is alive, whatever hangs in a job.
class EventLoop {
 public:
  /// Borrowed.
  struct Parts {
    const DaemonOptions& options;
    Caretaker& caretaker;
    Jobs& jobs;
    GuestObserver& guests;
    StreamSide& streams;
    const Wakeup& wakeup;  ///< notified by jobs and guests
    XenWatcher& watcher;
    StatusServer& server;
    const UniqueFd& signals;
    StartCount& starts;
    RoundClock::Now now;
  };
  explicit EventLoop(Parts parts) : parts_(std::move(parts)), clock_(parts_.now) {}

  /// Until a signal ends it. What fails in one round is logged, and the next one follows: whatever
  /// it was, no domain must be left alone for it.
  void run();

 private:
  Result<> round_or_error(Requests& requests);
  Result<> round(Requests& requests);
  void look();
  void take_signal();
  void read_configuration();

  Parts parts_;
  RoundClock clock_;
  bool stopping_ = false;
};

}  // namespace hadump
