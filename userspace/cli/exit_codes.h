// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// What release-region's exit status says. The numbers are part of the interface: the boot scripts
/// and release-region(8) name them.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,      ///< An error; what is unsaved is still held.
  kExitUsage = 2,       ///< Nonsense, or a target that must not be used. Nothing was touched.
  kExitNothing = 3,     ///< No dump waits: nothing to do.
  kExitTargetFull = 4,  ///< The target ran full. The partial dump is readable.
  kExitIncomplete = 5,  ///< The dump is written, but pages of it could not be read.
  kExitCancelled = 6,   ///< SIGTERM or SIGINT. The partial dump is readable and can be continued.
  kExitHeld = 7,        ///< The dump is safe, but some memory could not be given back.
  kExitEarlier = 8,     ///< What was released before is in no save that can be found.
  kExitLocked = 9,      ///< Another process saves this dump. Nothing was touched.
  kExitShort = 10,      ///< As kExitFailed, for what is_shortage() names: it may pass.
  kExitFormat = 11,     ///< A dump of this format cannot have this memory. Nothing was touched.
};

/// The exit status for an error that ends a command.
ExitCode exit_code_of(const Error& error);
/// The same by the errno alone: kExitShort for is_shortage(), else kExitFailed.
ExitCode exit_code_of_errno(int error);

/// What a command means by an exit status, for its help.
struct ExitMeaning {
  ExitCode code;
  const char* text;
};

/// "Exit status:", and a line for each.
std::string exit_status_text(std::span<const ExitMeaning> meanings);

}  // namespace hadump
