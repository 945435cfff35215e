// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "userspace/cli/command_table.h"
#include "userspace/cli/save_command_line.h"

namespace hadump {

/// `convert IN OUT`: a save from a file, with the same options for what is written.
Result<SaveCommandLine> parse_convert(const std::vector<std::string>& args);
std::string help_convert(const std::string& program);
int convert_command(const CommandCall& call);

}  // namespace hadump
