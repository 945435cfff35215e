// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "core/base/error.h"
#include "core/base/unique_handle.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/hadumpd/guest_observer.h"
#include "hv/hadumpd/options.h"
#include "hv/hadumpd/status_server.h"
#include "hv/hadumpd/wakeup.h"
#include "hv/xen/xen_watcher.h"

namespace hadump {

/// Blocks SIGTERM, SIGINT and SIGHUP for this thread and those that it starts. @return a signalfd.
Result<UniqueFd> take_signals();

/// hadumpd's event loop: takes in what has happened, lets the caretaker decide, answers clients.
/// Everything that may take long is a job's.
class EventLoop {
 public:
  /// Borrowed.
  struct Parts {
    const DaemonOptions& options;
    Caretaker& caretaker;
    Jobs& jobs;
    GuestObserver& guests;
    const Wakeup& wakeup;  ///< notified by jobs and guests
    XenWatcher& watcher;
    StatusServer& server;
    const UniqueFd& signals;
  };
  explicit EventLoop(Parts parts) : parts_(parts) {}

  /// Until a signal ends it.
  Result<> run();

 private:
  void look();
  void take_signal();
  void read_configuration();

  Parts parts_;
  bool stopping_ = false;
};

}  // namespace hadump
