// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/options.h"

#include <fmt/format.h>
#include <boost/program_options.hpp>

#include <sstream>

namespace hadump {
namespace {

namespace po = boost::program_options;

po::options_description describe(AdminOptions& options) {
  po::options_description description("Options");
  // clang-format off
  description.add_options()
      ("help,h", po::bool_switch(&options.help), "print this and exit")
      ("version", po::bool_switch(&options.version), "print the version and exit")
      ("json", po::bool_switch(&options.json), "print the answer as JSON")
      ("socket", po::value(&options.socket)->default_value(options.socket),
       "socket on which hadumpd listens");
  // clang-format on
  return description;
}

}  // namespace

std::string admin_help() {
  AdminOptions options;
  std::ostringstream text;
  text << "Usage: hadump COMMAND [DOMAIN] [OPTION]...\n"
          "Asks hadumpd about the domains that it manages.\n\n"
          "Commands:\n"
          "  list              one line per domain: state, for how long, memory still held\n"
          "  status [DOMAIN]   everything known, including the step times of the last boot\n"
          "  trigger DOMAIN    make a hung domain crash now, so that it is dumped;\n"
          "                    retry for a crashed one that hadumpd has left as it is\n"
          "DOMAIN is a name, a UUID or a number.\n\n"
       << describe(options)
       << "\nExit status: 0 success, 1 failed, 2 wrong usage, 3 no such domain,\n"
          "4 hadumpd is not running.\n";
  return text.str();
}

Result<AdminOptions> parse_admin_options(const std::vector<std::string>& arguments) try {
  AdminOptions options;
  po::options_description all = describe(options);
  all.add_options()("command", po::value(&options.command))("domain", po::value(&options.domain));
  po::positional_options_description positions;
  positions.add("command", 1).add("domain", 1);
  po::variables_map values;
  po::store(po::command_line_parser(arguments).options(all).positional(positions).run(), values);
  po::notify(values);
  if (options.help || options.version) return options;
  const bool known =
      options.command == "list" || options.command == "status" || options.command == "trigger";
  if (options.command.empty()) return fail(ErrorCode::kBadData, "no command given");
  if (!known)
    return fail(ErrorCode::kBadData, fmt::format("unknown command '{}'", options.command));
  if (options.command == "trigger" && options.domain.empty())
    return fail(ErrorCode::kBadData, "trigger needs a domain");
  return options;
} catch (const po::error& e) {
  return fail(ErrorCode::kBadData, e.what());
}

}  // namespace hadump
