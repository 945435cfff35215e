// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "userspace/release_region/command_save.h"

namespace hadump {

/// `convert IN OUT`: a save from a file, with the same options for what is written.
Result<SaveOptions> parse_convert(const std::vector<std::string>& args);
std::string help_convert();

}  // namespace hadump
