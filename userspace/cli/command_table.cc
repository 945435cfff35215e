// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/command_table.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <new>
#include <system_error>

#include "core/base/printable.h"
#include "userspace/cli/exit_codes.h"

namespace hadump {
namespace {

int print_usage(const std::string& program, std::span<const Command> commands, std::ostream& out,
                int exit_code) {
  out << fmt::format("Usage: {} COMMAND [options]\n\nCommands:\n", program);
  for (const Command& command : commands)
    out << fmt::format("  {:<10}{}\n", command.name, command.summary);
  out << "\nOptions:\n"
         "  -h [ --help ]  show this text\n"
         "  --version      show the version\n\n"
      << fmt::format("`{} COMMAND --help` shows a command's options and exit statuses.\n", program);
  return exit_code;
}

int dispatch(const std::string& program, const std::string& version,
             std::span<const Command> commands, std::vector<std::string> words, bool needs_file) {
  const Streams io{std::cout, std::cerr, ::isatty(STDERR_FILENO) == 1};
  const std::string name = words.empty() ? "" : words.front();
  if (name == "--help" || name == "-h" || name == "help")
    return print_usage(program, commands, io.out, kExitOk);
  if (name == "--version") {
    io.out << program << ' ' << version << '\n';
    return kExitOk;
  }
  const auto command = std::ranges::find(commands, name, &Command::name);
  if (command == commands.end()) {
    if (!name.empty()) io.err << program << ": unknown command '" << printable(name) << "'\n\n";
    return print_usage(program, commands, io.err, kExitUsage);
  }
  words.erase(words.begin());
  return command->run({program, std::move(words), io, needs_file});
}

/// As with `info FILE | head`: whoever read the output has seen enough.
bool reader_is_gone() {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

}  // namespace

void complain(const CommandCall& call, const char* name, const std::string& what) {
  call.io.err << call.program << ' ' << name << ": " << what << '\n';
}

int usage_error(const CommandCall& call, const char* name, const Error& error) {
  complain(call, name, error.what());
  call.io.err << "Try " << call.program << ' ' << name << " --help\n";
  return kExitUsage;
}

int run_program(const std::string& program, const std::string& version,
                std::span<const Command> commands, int argc, char** argv, bool needs_file) {
  // A reader that goes away, or a limit on the size of files, is an error of a write: with a
  // message, an exit code, and a partial dump in order.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  try {
    const int code =
        dispatch(program, version, commands, {argv + 1, argv + std::max(argc, 1)}, needs_file);
    if (std::cout.flush() || reader_is_gone()) return code;
    std::cerr << program << ": writing to standard output failed\n";
    return code == kExitOk ? kExitFailed : code;
  } catch (const std::bad_alloc&) {
    std::cerr << program << ": out of memory\n";
    return kExitShort;
  } catch (const std::system_error& error) {  // No thread.
    std::cerr << program << ": " << error.what() << '\n';
    return exit_code_of_errno(error.code().value());
  } catch (const std::exception& error) {  // spdlog without its file.
    std::cerr << program << ": " << error.what() << '\n';
    return kExitFailed;
  }
}

}  // namespace hadump
