// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/vmcore/source.h"
#include "userspace/cli/command_table.h"
#include "userspace/dump_tools/kdump_check.h"

namespace hadump {

struct VerifyOptions {
  bool help = false;
  std::vector<std::string> files;
};

Result<VerifyOptions> parse_verify(const std::vector<std::string>& args);
std::string help_verify(const std::string& program);
int verify_command(const CommandCall& call);

/// Reads every page of a dump, and checks its tables against each other.
/// @param files  of the same dump.
/// @return exit status: 0; 5 when pages are lost or damaged, tables contradict each other, or the
///         dump says that it is incomplete;
///         6 when cancelled; 1 when it cannot be read at all.
int run_verify(const VmcoreSource& source, const DumpFiles& files,
               const std::function<bool()>& cancelled, const CommandCall& call);

}  // namespace hadump
