// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "userspace/cli/command_table.h"
#include "userspace/cli/save_command_line.h"

namespace hadump {

/// `save`: saves the waiting dump and gives its memory back; see release-region(8).
Result<SaveCommandLine> parse_save(const std::vector<std::string>& args);
std::string help_save(const std::string& program);
int save_command(const CommandCall& call);

}  // namespace hadump
