// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <boost/program_options.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.h"
#include "userspace/cli/exit_codes.h"

namespace hadump {

/// Parses one subcommand's arguments; Boost's exceptions end here.
/// @return kBadData with a sentence, most of them Boost's.
Result<boost::program_options::variables_map> parse_command_line(
    const std::vector<std::string>& args,
    const boost::program_options::options_description& options,
    const boost::program_options::positional_options_description& positional = {});

/// The value of --threads, an option of type unsigned. @return kBadData when it is too large.
Result<unsigned> threads_option(const boost::program_options::variables_map& values);

/// "Usage: PROGRAM NAME …", the options, and the exit statuses.
/// @param exits  those that this command has.
std::string help_text(const std::string& program, const std::string& usage,
                      const boost::program_options::options_description& options,
                      std::initializer_list<ExitMeaning> exits);

}  // namespace hadump
