// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"

namespace hadump {

struct AdminOptions {
  bool help = false;
  bool version = false;
  bool json = false;
  std::string command;  ///< list, status or trigger
  std::string domain;   ///< a name, a UUID or a number; may be empty for list and status
  std::string socket = "/run/hadump/hadumpd.sock";
};

std::string admin_help();
Result<AdminOptions> parse_admin_options(const std::vector<std::string>& arguments);

}  // namespace hadump
