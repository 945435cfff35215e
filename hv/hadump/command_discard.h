// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "hv/hadump/command.h"

namespace hadump {

std::string discard_help();
/// `hadump discard CAPTURE`: deletes the files of a capture that has ended.
Result<Run> parse_discard(const std::vector<std::string>& arguments);

}  // namespace hadump
