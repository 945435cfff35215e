// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/exit_codes.h"

#include <fmt/format.h>

#include <cerrno>

namespace hadump {

ExitCode exit_code_of_errno(int error) {
  switch (error) {
    case ENOMEM:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
      return kExitShort;
    default:
      return kExitFailed;
  }
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
    text += fmt::format("  {}  {}\n", static_cast<int>(meaning.code), meaning.text);
  return text;
}

}  // namespace hadump
