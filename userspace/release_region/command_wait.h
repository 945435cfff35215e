// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "userspace/cli/clock.h"
#include "userspace/cli/command_table.h"

namespace hadump {

struct WaitOptions {
  bool help = false;
  std::optional<std::uint64_t> memory{};  ///< bytes that are enough
  std::optional<std::chrono::seconds> timeout{};
};

/// What a wait looks at, and what it waits with.
struct WaitWorld {
  std::string kernel_dir;  ///< "/sys/kernel"
  std::string memory_dir;  ///< "/sys/devices/system/memory"
  std::string meminfo;     ///< "/proc/meminfo"
  const Clock& clock;
  std::function<void()> pause;  ///< about a second
};

Result<WaitOptions> parse_wait(const std::vector<std::string>& args);
std::string help_wait(const std::string& program);
int wait_command(const CommandCall& call);

/// Waits until no dump waits and what came back is online, or until `memory` bytes are available.
/// A block of memory that stays offline is waited for no longer than ten seconds: somebody may want
/// it so.
/// @return exit status: 0 when that is so, 1 when the time is over before.
int run_wait(const WaitOptions& options, const WaitWorld& world, Streams io);

}  // namespace hadump
