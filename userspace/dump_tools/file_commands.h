// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>

#include "userspace/cli/command_table.h"

namespace hadump {

/// The commands on dump files, which every program of ours has that an administrator uses.
std::span<const Command> file_commands();

}  // namespace hadump
