// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/command_trigger.h"

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/json_text.h"
#include "hv/hadump/answer.h"
#include "hv/hadump/job_wait.h"
#include "hv/hadump/options.h"
#include "hv/hadump/report.h"

namespace hadump {
namespace {

namespace po = boost::program_options;
using Json = nlohmann::ordered_json;

constexpr unsigned kPatienceSeconds = 60;

po::options_description describe_wait(unsigned& seconds) {
  po::options_description description;
  description.add_options()("wait",
                            po::value(&seconds)->default_value(seconds)->value_name("SECONDS"),
                            "seconds to wait for the result; 0: do not wait");
  return description;
}

int trigger(const DomainOptions& options, unsigned wait_seconds, CommandWorld& world) {
  AdminExit code = kAdminOk;
  auto domains = ask_for_domains(options, world, code);
  if (!domains) return complain(world, domains.error().what(), code);
  auto domid = domain_to_trigger(*domains, options.domain);
  if (!domid) return complain(world, domid.error().what(), kAdminFailed);
  // One that is down was meant to be tried again; it must not crash if it runs by now.
  const auto state = text_at(domains->front(), "state");
  const bool again = state == "failed" || state == "retrying" || state == "restarting";
  auto started =
      world.ask(options.socket, {{"command", "trigger"}, {"domid", *domid}, {"again", again}});
  if (!started) return complain(world, started.error().what(), kAdminFailed);
  const auto number = number_at(*started, "job");
  if (wait_seconds != 0)
    if (auto done = wait_for_job(number, wait_seconds, options.socket, world); !done)
      return complain(world, done.error().what(), kAdminFailed);
  if (!options.json) {
    world.out << "triggered the dump of domain '" << options.domain << "'\n";
    return kAdminOk;
  }
  domains = ask_for_domains(options, world, code);  // as it is now
  if (!domains) return complain(world, domains.error().what(), code);
  world.out << json_text(*domains, 2) << '\n';
  return kAdminOk;
}

}  // namespace

std::string trigger_help() {
  unsigned seconds = kPatienceSeconds;
  std::ostringstream text;
  text << domain_help() << describe_wait(seconds);
  return text.str();
}

Result<Run> parse_trigger(const std::vector<std::string>& arguments) {
  unsigned seconds = kPatienceSeconds;
  const po::options_description more = describe_wait(seconds);
  auto options = parse_domain_options(arguments, &more);
  if (!options) return fail(std::move(options));
  if (options->domain.empty() && !options->help)
    return fail(ErrorCode::kBadData, "trigger needs a domain");
  return [options = std::move(*options), seconds](CommandWorld& world) {
    return trigger(options, seconds, world);
  };
}

}  // namespace hadump
