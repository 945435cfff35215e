// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/program_options/options_description.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "hv/hadump/command.h"

namespace hadump {

/// The options of every command that is about domains.
struct DomainOptions {
  bool help = false;
  bool json = false;
  std::string socket = "/run/hadump/hadumpd.sock";
  std::string domain;  ///< a name, a UUID or a number; empty: all
};

boost::program_options::options_description describe(DomainOptions& options);
/// As text.
std::string domain_help();
/// @param more  options of one command besides these; may be null.
Result<DomainOptions> parse_domain_options(
    const std::vector<std::string>& arguments,
    const boost::program_options::options_description* more = nullptr);

/// The domains that hadumpd knows and the options name.
/// @param code  what to exit with after a failure.
Result<nlohmann::ordered_json> ask_for_domains(const DomainOptions& options, CommandWorld& world,
                                               AdminExit& code);

/// The same with a key `captures` in each that has some. Captures of domains that are gone are in
/// elements of the state "gone", without a number.
Result<nlohmann::ordered_json> ask_for_all(const DomainOptions& options, CommandWorld& world,
                                           AdminExit& code);

}  // namespace hadump
