// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "hv/domain/domain_config.h"
#include "hv/rescue/crash_run.h"

namespace hadump {

/// What an admin wants of a domain's window.
struct WindowWish {
  std::uint64_t bytes;
  CmdlinePolicy cmdline{};
};

/// Gets the files of a domain that still runs, and plans the boot of a crash with them: what would
/// keep it from booting then, an admin can still change now. What only the crashed guest knows (its
/// holes) is not in it.
/// @return the error that CrashRun would end with; those of BootFiles.
Result<> rehearse_boot(BootFiles& files, const DomainConfig& config, const WindowWish& wish);

}  // namespace hadump
