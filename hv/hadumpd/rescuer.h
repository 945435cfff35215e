// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/domain/host.h"
#include "hv/hadumpd/preparer.h"
#include "hv/hadumpd/stall_watch.h"
#include "hv/rescue/crash_run.h"

namespace hadump {

/// One crashed domain, or one whose boot was interrupted.
struct RescueOrder {
  unsigned domid = 0;
  DomainConfig config;
  CrashPolicy policy;
  DomainRecord record;
};

/// Crash runs in the real world: opens the domain, waits for its files, watches for stalls.
///
/// Threads: any. Everything is borrowed.
class Rescuer {
 public:
  Rescuer(Host& host, Preparer& preparer, RecordStore& records, StallWatch& stalls)
      : host_(host), preparer_(preparer), records_(records), stalls_(stalls) {}

  /// The record store has the record's last state. @return the errors of Host::open() and
  /// CrashRun::run().
  Result<> operator()(RescueOrder order) const;

 private:
  Host& host_;
  Preparer& preparer_;
  RecordStore& records_;
  StallWatch& stalls_;
};

}  // namespace hadump
