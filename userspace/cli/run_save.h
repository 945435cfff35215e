// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <spdlog/logger.h>

#include "core/save/save.h"
#include "userspace/cli/clock.h"
#include "userspace/cli/save_command_line.h"
#include "userspace/cli/streams.h"

namespace hadump {

/// Where a save says what it does. Borrowed.
struct SaveConsole {
  spdlog::logger& log;
  const Clock& clock;
  Streams io;
};

/// Runs a save and says what came of it and what to do next: `release-region save`, `convert`.
/// @return exit status, an ExitCode.
int run_save(const SaveCommandLine& command, const SaveSeams& seams, const SaveConsole& console);

}  // namespace hadump
