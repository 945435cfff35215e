// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/command_status.h"

#include <nlohmann/json.hpp>

#include "core/base/json_text.h"
#include "hv/hadump/options.h"
#include "hv/hadump/report.h"

namespace hadump {

Result<Run> parse_status(const std::vector<std::string>& arguments) {
  auto options = parse_domain_options(arguments);
  if (!options) return fail(std::move(options));
  return [options = std::move(*options)](CommandWorld& world) -> int {
    AdminExit code = kAdminOk;
    auto domains = ask_for_all(options, world, code);
    if (!domains) return complain(world, domains.error().what(), code);
    if (options.json)
      world.out << json_text(*domains, 2) << '\n';
    else
      for (const auto& domain : *domains) world.out << status_text(domain, world.now_ms());
    return kAdminOk;
  };
}

}  // namespace hadump
