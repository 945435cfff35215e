// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/save/region_releaser.h"
#include "userspace/cli/command_table.h"
#include "userspace/release_region/waiting_dump.h"

namespace hadump {

struct ShowOptions {
  bool help = false;
  bool json = false;
};

Result<ShowOptions> parse_show(const std::vector<std::string>& args);
std::string help_show(const std::string& program);
int show_command(const CommandCall& call);

/// Prints every range and its state. @return exit status: 0; 1 when the module's list is
/// unreadable.
int run_show(const ShowOptions& options, const WaitingDump& dump, RegionReleaser& releaser,
             Streams io);

}  // namespace hadump
