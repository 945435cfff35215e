// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"
#include "hv/agent/policy.h"

namespace hadump {

struct DaemonOptions {
  bool help = false;
  bool version = false;
  bool debug = false;
  bool check_config = false;
  std::string once;  ///< a domain's number: handle its crash and exit
  std::string config = "/etc/hadump/hadumpd.conf";
  bool config_given = false;
  std::string state_directory = "/var/lib/hadump";
  std::string run_directory = "/run/hadump";
};

/// The text of --help.
std::string daemon_help();
Result<DaemonOptions> parse_daemon_options(const std::vector<std::string>& arguments);

/// Reads the configuration file. A file that is not there is an empty one unless `required`.
/// @param check_files  as check_named_files(): for a check by hand.
Result<PolicyTable> read_policies(const std::string& path, bool required, bool check_files = false);
/// The same from text, for tests. @param name  of the file, for messages.
Result<PolicyTable> parse_policies(const std::string& text, const std::string& name);
/// Whether the kernels and ramdisks that it names are there. They may come and go while hadumpd
/// runs, which says before a crash what it would miss.
Result<> check_named_files(const std::string& text, const std::string& name);

}  // namespace hadump
