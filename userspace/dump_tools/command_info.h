// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/vmcore/source.h"
#include "userspace/cli/command_table.h"

namespace hadump {

struct InfoOptions {
  bool help = false;
  bool json = false;
  unsigned log_lines = 10;
  std::string vmcoreinfo;          ///< A file with the kernel's VMCOREINFO; empty for the dump's.
  std::vector<std::string> files;  ///< One dump, or all parts of a split one.
};

Result<InfoOptions> parse_info(const std::vector<std::string>& args);
std::string help_info(const std::string& program);
int info_command(const CommandCall& call);

/// Says what is in a dump: whole or not, memory, processors, kernel, pages by class, the log's end.
/// @return exit status: 0; 5 when the dump says that it is incomplete.
int run_info(const InfoOptions& options, const VmcoreSource& source, Streams io);

}  // namespace hadump
