// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"
#include "userspace/cli/command_table.h"

namespace hadump {

struct StatusOptions {
  bool help = false;
  bool json = false;
};

Result<StatusOptions> parse_status(const std::vector<std::string>& args);
std::string help_status(const std::string& program);
int status_command(const CommandCall& call);

/// Says whether hadump works here, whether a dump waits, and how far it is.
/// @param kernel_dir  "/sys/kernel".
/// @param run_dir  "/run/hadump". The files in it need not be there, and have a line for each
///                 thing: `not-restored`, what hadump-memory could not set when all memory was
///                 back; `rescue`, why hadump-rescue has not saved the dump that waits.
/// @return exit status: 0 when a dump waits, 3 when none does, 1 without the module.
int run_status(const StatusOptions& options, const std::string& kernel_dir,
               const std::string& run_dir, Streams io);

}  // namespace hadump
