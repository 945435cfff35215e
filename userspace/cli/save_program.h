// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>

#include "userspace/cli/run_save.h"
#include "userspace/cli/signal_stop.h"

namespace hadump {

/// The real side of a save that a program runs: log, clock, signals, files. Make it before any
/// thread.
class SaveProgram {
 public:
  /// @param who  begins each message. Throws what spdlog throws, for a log file that cannot be
  ///             opened.
  SaveProgram(const std::string& who, const SaveCommandLine& command, Streams io);

  SaveConsole console() const { return {*log_, clock_, io_}; }
  /// With nothing that waits. They are valid as long as this object is.
  SaveSeams file_seams() const;

 private:
  SignalStop stop_;
  std::shared_ptr<spdlog::logger> log_;  // Shared by spdlog's interface.
  std::string vmcoreinfo_;
  bool replaces_;
  SteadyClock clock_;
  Streams io_;
};

}  // namespace hadump
