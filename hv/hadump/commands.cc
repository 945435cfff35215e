// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <sstream>

#include "hv/hadump/command.h"
#include "hv/hadump/command_capture.h"
#include "hv/hadump/command_discard.h"
#include "hv/hadump/command_list.h"
#include "hv/hadump/command_mount.h"
#include "hv/hadump/command_status.h"
#include "hv/hadump/command_trigger.h"
#include "hv/hadump/options.h"
#include "userspace/dump_tools/file_commands.h"

namespace hadump {
namespace {

namespace po = boost::program_options;

constexpr AdminCommand kCommands[] = {
    {"list", "[DOMAIN]",
     "one line per domain: state, for how long, memory still held;\n"
     "one line per capture",
     domain_help, parse_list},
    {"status", "[DOMAIN]", "everything known, including the step times of the last boot",
     domain_help, parse_status},
    {"capture", "DOMAIN",
     "write the memory of a crashed domain to a file on this host,\n"
     "and start the domain anew if asked to",
     capture_help, parse_capture},
    {"trigger", "DOMAIN",
     "make a hung domain crash now, so that it is dumped;\n"
     "retry at once for one that is down",
     trigger_help, parse_trigger},
    {"discard", "CAPTURE", "delete the files of a capture that has ended", discard_help,
     parse_discard},
    {"mount", "DUMP DIR",
     "show a capture or a dump file as files in a directory:\n"
     "an ELF core, the kernel's log, metadata",
     mount_help, parse_mount},
};

constexpr std::string_view kExitCodes =
    "\nExit status: 0 success, 1 failed, 2 wrong usage, 3 no such domain,\n"
    "4 hadumpd is not running. Commands on dumps have their own; see their --help.\n";

const AdminCommand* command_of(const std::string& name) {
  const auto* found =
      std::find_if(std::begin(kCommands), std::end(kCommands),
                   [&](const AdminCommand& command) { return command.name == name; });
  return found == std::end(kCommands) ? nullptr : found;
}

}  // namespace

std::span<const AdminCommand> commands() {
  return kCommands;
}

std::string admin_help() {
  std::string text =
      "Usage: hadump COMMAND [DOMAIN] [OPTION]...\n"
      "       hadump COMMAND FILE... [OPTION]...\n"
      "Asks hadumpd about the domains that it manages, and reads dumps.\n\n"
      "Commands:\n";
  for (const AdminCommand& command : kCommands) {
    std::string summary(command.summary);
    for (std::size_t at = summary.find('\n'); at != std::string::npos; at = summary.find('\n', at))
      summary.replace(at++, 1, "\n                    ");
    text +=
        fmt::format("  {:<17} {}\n", fmt::format("{} {}", command.name, command.operands), summary);
  }
  text += "\nOn dumps, without hadumpd:\n";
  for (const Command& command : file_commands())
    text += fmt::format("  {:<17} {}\n", command.name, command.summary);
  return text +
         "\nDOMAIN is a name, a UUID or a number. `hadump COMMAND --help` shows the options.\n" +
         std::string(kExitCodes);
}

std::string command_help(const AdminCommand& command) {
  return fmt::format("Usage: hadump {} {} [OPTION]...\n{}.\n\n{}{}", command.name, command.operands,
                     command.summary, command.help(), kExitCodes);
}

// Options may stand before the command's name.
Result<Invocation> find_command(const std::vector<std::string>& arguments) try {
  Invocation found;
  DomainOptions options;
  std::string name;
  po::options_description all = describe(options);
  all.add_options()("version", po::bool_switch(&found.version))("command", po::value(&name))(
      "rest", po::value<std::vector<std::string>>());
  po::positional_options_description positions;
  positions.add("command", 1).add("rest", -1);
  po::variables_map values;
  po::store(po::command_line_parser(arguments)
                .options(all)
                .positional(positions)
                .allow_unregistered()
                .run(),
            values);
  po::notify(values);
  found.help = options.help;
  if (found.version || (found.help && name.empty())) return found;
  if (name.empty()) return fail(ErrorCode::kBadData, "no command given");
  found.command = command_of(name);
  if (found.command == nullptr)
    return fail(ErrorCode::kBadData, fmt::format("unknown command '{}'", name));
  found.arguments = arguments;
  found.arguments.erase(std::find(found.arguments.begin(), found.arguments.end(), name));
  return found;
} catch (const po::error& e) {
  return fail(ErrorCode::kBadData, e.what());
}

int complain(CommandWorld& world, const std::string& text, AdminExit code) {
  world.errors << "hadump: " << text << '\n';
  return code;
}

}  // namespace hadump
