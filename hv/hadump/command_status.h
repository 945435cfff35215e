// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/hadump/command.h"

namespace hadump {

Result<Run> parse_status(const std::vector<std::string>& arguments);

}  // namespace hadump
