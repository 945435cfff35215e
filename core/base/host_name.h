// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

namespace hadump {

/// This machine's name; empty when it has none.
std::string host_name();

}  // namespace hadump
