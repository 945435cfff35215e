// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/codec/codec.h"
#include "core/vmcore/source.h"
#include "userspace/cli/clock.h"
#include "userspace/cli/command_table.h"

namespace hadump {

struct EstimateOptions {
  bool help = false;
  bool json = false;
  /// A dump, or the parts of one. Empty: /proc/vmcore when a dump waits, else /proc/kcore; without
  /// those (CommandCall::needs_file) it is wrong usage.
  std::vector<std::string> vmcore;
  std::string to;          ///< A directory whose free room to compare with; empty for none.
  std::string vmcoreinfo;  ///< A file with the kernel's VMCOREINFO; empty for the dump's.
  CodecChoice codec;       ///< Not automatic.
  std::vector<unsigned> levels{0, 1, 16, 17, 23, 31};
  unsigned threads = 0;  ///< 0: one for each CPU.
};

Result<EstimateOptions> parse_estimate(const std::vector<std::string>& args);
std::string help_estimate(const std::string& program);
int estimate_command(const CommandCall& call);

/// Says how large a dump would be at some levels and how long it would take, from the pages'
/// classes and from a sample of pages that is read and compressed; and what of it fits.
/// @return exit status: 0; 4 when not even the smallest fits options.to; 1 on errors.
int run_estimate(const EstimateOptions& options, const VmcoreSource& source, const Clock& clock,
                 const CommandCall& call);

}  // namespace hadump
