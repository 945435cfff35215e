// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "hv/hadump/command.h"

namespace hadump {

std::string mount_help();
/// `hadump mount CAPTURE|FILE… DIR`: shows a dump in a directory.
Result<Run> parse_mount(const std::vector<std::string>& arguments);

}  // namespace hadump
