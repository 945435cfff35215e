// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/options.h"

#include <boost/program_options.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "hv/hadump/report.h"
#include "hv/hadump/stream_report.h"

namespace hadump {

namespace po = boost::program_options;

po::options_description describe(DomainOptions& options) {
  po::options_description description("Options");
  // clang-format off
  description.add_options()
      ("help,h", po::bool_switch(&options.help), "show this text")
      ("json", po::bool_switch(&options.json), "print the answer as JSON")
      ("socket", po::value(&options.socket)->default_value(options.socket)->value_name("PATH"),
       "socket on which hadumpd listens");
  // clang-format on
  return description;
}

std::string domain_help() {
  DomainOptions options;
  std::ostringstream text;
  text << describe(options);
  return text.str();
}

Result<DomainOptions> parse_domain_options(const std::vector<std::string>& arguments,
                                           const po::options_description* more) try {
  DomainOptions options;
  po::options_description all = describe(options);
  if (more != nullptr) all.add(*more);
  all.add_options()("domain", po::value(&options.domain));
  po::positional_options_description positions;
  positions.add("domain", 1);
  po::variables_map values;
  po::store(po::command_line_parser(arguments).options(all).positional(positions).run(), values);
  po::notify(values);
  return options;
} catch (const po::too_many_positional_options_error&) {
  return fail(ErrorCode::kBadData, "too many arguments");
} catch (const po::error& e) {
  return fail(ErrorCode::kBadData, e.what());
}

namespace {

Result<nlohmann::ordered_json> ask(const DomainOptions& options, CommandWorld& world,
                                   AdminExit& code, bool with_captures) {
  code = kAdminFailed;
  auto answer = world.ask(options.socket, {{"command", "list"}});
  if (!answer) {
    if (answer.error().code() == ErrorCode::kNotFound) code = kAdminNoDaemon;
    return answer;
  }
  if (with_captures) attach_captures(*answer);
  if (with_captures) attach_streams(*answer);
  auto chosen = choose(*answer, options.domain);
  if (!chosen.empty() || options.domain.empty()) return chosen;
  code = kAdminNoDomain;
  return fail(ErrorCode::kNotFound, "no domain '" + options.domain + "'");
}

}  // namespace

Result<nlohmann::ordered_json> ask_for_domains(const DomainOptions& options, CommandWorld& world,
                                               AdminExit& code) {
  return ask(options, world, code, false);
}

Result<nlohmann::ordered_json> ask_for_all(const DomainOptions& options, CommandWorld& world,
                                           AdminExit& code) {
  return ask(options, world, code, true);
}

}  // namespace hadump
