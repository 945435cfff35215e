// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/exit_codes.h"

#include <fmt/format.h>

#include "core/base/shortage.h"

namespace hadump {

ExitCode exit_code_of_errno(int error) {
  return is_shortage(error) ? kExitShort : kExitFailed;
}

ExitCode exit_code_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kNoSpace:
      return kExitTargetFull;
    case ErrorCode::kCancelled:
      return kExitCancelled;
    case ErrorCode::kIncomplete:
      return kExitIncomplete;
    default:
      return exit_code_of_errno(error.os_errno());
  }
}

std::string exit_status_text(std::span<const ExitMeaning> meanings) {
  std::string text = "Exit status:\n";
  for (const ExitMeaning& meaning : meanings)
    text += fmt::format("  {:<2} {}\n", static_cast<int>(meaning.code), meaning.text);
  return text;
}

}  // namespace hadump
