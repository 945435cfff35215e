// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "core/base/error.h"
#include "core/base/unique_handle.h"

namespace hadump {

/// Whether an error of opening Xen can go away by itself: xenstored or xenconsoled do not run yet.
/// Missing rights do not.
bool may_go_away(const Error& error);

/// Waits for at most `time`. @param signals  of take_signals(). @return whether SIGTERM or SIGINT
/// came meanwhile; SIGHUP is taken and has no effect, since nothing has been read yet.
bool ended_during(std::chrono::milliseconds time, const UniqueFd& signals);

/// Calls `open` until it succeeds, with growing pauses. The first failure is logged, and that it is
/// over; systemd is told that hadumpd runs and what it waits for.
/// @return false when a signal ended it; the error when it cannot go away.
Result<bool> open_patiently(const std::function<Result<>()>& open, const UniqueFd& signals);

/// Counts starts that were followed by an end before anything was done, so that a hadumpd that
/// cannot live does not keep a processor busy. A file, because it outlives the process.
class StartCount {
 public:
  /// @param path  where systemd's RuntimeDirectoryPreserve= keeps it between two starts.
  explicit StartCount(std::string path) : path_(std::move(path)) {}

  /// Counts this start. @return how long to wait first: nothing after up to 3 bad ones in a row,
  /// since a guest may be waiting, then growing to 10 s.
  std::chrono::seconds begin();
  /// This process has lived long enough, or ends on purpose.
  void settled();

 private:
  std::string path_;
  bool settled_ = false;
};

}  // namespace hadump
