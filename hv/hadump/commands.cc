// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cctype>
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

constexpr std::string_view kAskExits =
    "0 success, 1 failed, 2 wrong usage, 3 no such domain,\n"
    "4 hadumpd is not running";

constexpr AdminCommand kCommands[] = {
    {"list", "[DOMAIN]",
     "list domains, one a line: state, for how long, memory still held;\n"
     "and captures, one a line",
     domain_help, parse_list, kAskExits},
    {"status", "[DOMAIN]", "show everything known, including the step times of the last boot",
     domain_help, parse_status, kAskExits},
    {"capture", "DOMAIN",
     "write the memory of a crashed domain to a file on this host,\n"
     "and start the domain anew if asked to",
     capture_help, parse_capture, kAskExits},
    {"trigger", "DOMAIN",
     "make a hung domain crash now, so that it is dumped;\n"
     "retry at once for one that is down",
     trigger_help, parse_trigger,
     "0 success, 1 failed, also if the job failed or did not end in time, 2 wrong usage,\n"
     "3 no such domain, 4 hadumpd is not running"},
    {"discard", "CAPTURE", "delete the files of a capture that has ended", discard_help,
     parse_discard, "0 success, 1 failed, 2 wrong usage, 4 hadumpd is not running"},
    {"mount", "DUMP DIR",
     "show a capture or a dump file as files in a directory:\n"
     "an ELF core, the kernel's log, metadata",
     mount_help, parse_mount, "0 success, 1 failed, 2 wrong usage"},
};

std::string as_sentence(std::string_view order) {
  std::string text(order);
  text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  return text + '.';
}

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
         "\nDOMAIN is a name, a UUID or a number.\n\n"
         "Options:\n"
         "  -h [ --help ]     show this text\n"
         "  --version         show the version\n\n"
         "`hadump COMMAND --help` shows a command's options and exit statuses.\n";
}

std::string command_help(const AdminCommand& command) {
  return fmt::format("Usage: hadump {} {} [OPTION]...\n{}\n\n{}\nExit status: {}.\n", command.name,
                     command.operands, as_sentence(command.summary), command.help(), command.exits);
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
