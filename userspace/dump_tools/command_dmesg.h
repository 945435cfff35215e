// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/vmcore/source.h"
#include "userspace/cli/command_table.h"

namespace hadump {

struct DmesgOptions {
  bool help = false;
  bool json = false;
  std::string vmcoreinfo;  ///< A file with the kernel's VMCOREINFO; empty for the dump's.
  std::vector<std::string>
      files;  ///< A dump, or its parts. Empty: /proc/vmcore, where it may wait.
};

Result<DmesgOptions> parse_dmesg(const std::vector<std::string>& args);
std::string help_dmesg(const std::string& program);
int dmesg_command(const CommandCall& call);

/// Prints the crashed kernel's log as dmesg prints a running one's.
/// @return exit status: 0; 1 when there is none.
int run_dmesg(const DmesgOptions& options, const VmcoreSource& source, const CommandCall& call);

}  // namespace hadump
