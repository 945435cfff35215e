// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/command_discard.h"

#include <nlohmann/json.hpp>

#include "core/base/json_text.h"
#include "hv/hadump/answer.h"
#include "hv/hadump/job_wait.h"
#include "hv/hadump/options.h"

namespace hadump {
namespace {

constexpr unsigned kDeletionSeconds = 600;  // large files take long to delete

int discard(const DomainOptions& options, CommandWorld& world) {
  const std::string& name = options.domain;
  auto started = world.ask(options.socket, {{"command", "discard"}, {"name", name}});
  if (!started)
    return complain(world, started.error().what(),
                    started.error().code() == ErrorCode::kNotFound ? kAdminNoDaemon : kAdminFailed);
  auto done = wait_for_job(number_at(*started, "job"), kDeletionSeconds, options.socket, world);
  if (!done) return complain(world, done.error().what(), kAdminFailed);
  if (options.json)
    world.out << json_text(nlohmann::ordered_json({{"discarded", name}}), 2) << '\n';
  else
    world.out << "capture " << name << " is discarded\n";
  return kAdminOk;
}

}  // namespace

std::string discard_help() {
  return domain_help();
}

Result<Run> parse_discard(const std::vector<std::string>& arguments) {
  auto options = parse_domain_options(arguments);
  if (!options) return fail(std::move(options));
  if (options->domain.empty() && !options->help)
    return fail(ErrorCode::kBadData, "discard needs a capture's name");
  return [options = std::move(*options)](CommandWorld& world) { return discard(options, world); };
}

}  // namespace hadump
