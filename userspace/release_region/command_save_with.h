// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/save/save_with.h"
#include "userspace/cli/command_table.h"
#include "userspace/cli/run_save.h"

namespace hadump {

struct SaveWithCommandLine {
  bool help = false;
  bool check = false;  ///< Only say whether the command line can be used.
  SaveWithOptions save;
};

/// `save-with`: another program saves the waiting dump, and all memory is given back then; see
/// release-region(8). What follows "--" is the program's.
Result<SaveWithCommandLine> parse_save_with(const std::vector<std::string>& args);
std::string help_save_with(const std::string& program);
int save_with_command(const CommandCall& call);

/// @param seams  see save_with(); `host` is a part of the dump's name, which "{}" stands for.
/// @return exit status.
int run_save_with(const SaveWithCommandLine& command, const SaveSeams& seams, const RunProgram& run,
                  spdlog::logger& log);

}  // namespace hadump
