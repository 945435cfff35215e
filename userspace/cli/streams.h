// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <ostream>

namespace hadump {

/// Where a command writes. Borrowed; parameters, so that a test reads what a user would see.
struct Streams {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;  ///< Progress may rewrite its line.
};

}  // namespace hadump
