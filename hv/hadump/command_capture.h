// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/hadump/command.h"

namespace hadump {

std::string capture_help();
/// See docs/man/hadump.8.md.
Result<Run> parse_capture(const std::vector<std::string>& arguments);

}  // namespace hadump
