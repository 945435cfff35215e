// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"

namespace hadump {

/// Parses one subcommand's arguments; Boost's exceptions end here.
/// @return kBadData with Boost's sentence.
Result<boost::program_options::variables_map> parse_command_line(
    const std::vector<std::string>& args,
    const boost::program_options::options_description& options,
    const boost::program_options::positional_options_description& positional = {});

/// "Usage: PROGRAM NAME …", the options, and the exit codes.
std::string help_text(const std::string& program, const std::string& usage,
                      const boost::program_options::options_description& options);

}  // namespace hadump
