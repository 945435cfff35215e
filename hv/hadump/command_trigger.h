// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/hadump/command.h"

namespace hadump {

std::string trigger_help();
Result<Run> parse_trigger(const std::vector<std::string>& arguments);

}  // namespace hadump
