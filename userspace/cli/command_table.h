// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "userspace/cli/streams.h"

namespace hadump {

/// What a subcommand is called with.
struct CommandCall {
  std::string program;  ///< That was started, for messages: "release-region".
  std::vector<std::string> args;
  Streams io;
  /// A command on dumps has no dump to take when none is named: no guest's dump waits here.
  bool needs_file = false;
};

/// One subcommand: a row of its program's table.
struct Command {
  const char* name;
  const char* summary;
  std::string (*help)(const std::string& program);
  /// Parses and runs. @return exit status.
  int (*run)(const CommandCall& call);
};

/// Runs what the command line names, with the program's own --help and --version.
/// @param needs_file  as CommandCall::needs_file.
/// @return exit status; kExitUsage without a known command.
int run_program(const std::string& program, const std::string& version,
                std::span<const Command> commands, int argc, char** argv, bool needs_file = false);

/// "PROGRAM NAME: WHAT", the form of a command's messages, on io.err.
void complain(const CommandCall& call, const char* name, const std::string& what);
int usage_error(const CommandCall& call, const char* name, const Error& error);

/// A command's two halves, both of which a test can call: `parse` makes options of the arguments,
/// with a member `help`; `run` takes them and the call.
template <typename Parse, typename Run>
int parse_and_run(const CommandCall& call, const char* name, Parse parse,
                  std::string (*help)(const std::string& program), Run run) {
  const auto options = parse(call.args);
  if (!options) return usage_error(call, name, options.error());
  if (!options->help) return run(*options, call);
  call.io.out << help(call.program);
  return 0;
}

}  // namespace hadump
