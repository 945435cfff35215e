// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/save/save.h"
#include "userspace/cli/command_table.h"

namespace hadump {

inline constexpr const char* kKernelDir = "/sys/kernel";
/// Where saves of a dump that waits are noted and locked (SaveSeams::state_dir).
inline constexpr const char* kStateDir = "/var/lib/hadump";

/// Takes the properties out of a dump node. Source: docs/spec/dump-node.md.
/// A property that is missing or has a wrong length stays at its "not known" value: the dump can be
/// saved without it. @return kBadData for something that is not a flattened tree with a dump node.
Result<WaitingDump> parse_dump_node(std::span<const std::byte> blob);

/// Reads `hadump/dump_id` and `hadump/node` below `kernel_dir` ("/sys/kernel").
/// @return kNotFound when no dump waits.
Result<WaitingDump> read_waiting_dump(const std::string& kernel_dir);

/// Says why there is no dump to work on. @return exit status.
int no_dump(const CommandCall& call, const char* name, const Error& error);

}  // namespace hadump
