// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/save/save.h"
#include "userspace/cli/progress_reporter.h"

namespace hadump {

/// A save, and what the command line adds to it.
struct SaveCommandLine {
  bool help = false;
  SaveOptions save;
  ProgressMode progress = ProgressMode::kAuto;
  std::string log_to;
  bool check = false;           ///< Only say whether the command line can be used.
  int location_fd = -1;         ///< Where to tell the dump's files, one a line.
  std::string vmcoreinfo = {};  ///< A file with the kernel's VMCOREINFO; empty for the dump's.
  std::string host_name = {};   ///< With save.to_host: of the file there; empty: the host's choice.
};

/// The options that say how a dump is written, and how that is shown: --format, --compress,
/// --dump-level, --threads, --portion, --progress, --log-to, --vmcoreinfo.
/// @param portion_text  what a portion is for the command.
void describe_writing(boost::program_options::options_description& options,
                      const char* portion_text);

/// Takes those into `command`. @pre command.save.to is set. @return kBadData with the reason.
Result<> read_writing(const boost::program_options::variables_map& values,
                      SaveCommandLine& command);

/// A dump is written on this system; "host:path" and "scheme://…" are on others.
/// @param to_a_pipe  the words with which the command writes to standard output.
/// @return kBadData with what to do instead.
Result<> refuse_remote(const std::vector<std::string>& to, std::string_view to_a_pipe);

/// What the words of a save say together. @return kBadData with the reason.
Result<> check_save(const SaveOptions& options);

}  // namespace hadump
