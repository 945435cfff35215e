// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/exit_codes.h"

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

const char* exit_codes_text() {
  return "Exit status:\n"
         "  0  success\n"
         "  1  failed; what is not saved is still held\n"
         "  2  wrong usage, or a target that is refused\n"
         "  3  nothing to do: no dump waits\n"
         "  4  the target is full; the partial dump is readable and can be continued\n"
         "  5  the dump is written, but some pages could not be read\n"
         "  6  stopped by a signal; the partial dump is readable and can be continued\n"
         "  7  the dump is safe, but some memory could not be given back\n"
         "  8  memory released earlier is in a save that cannot be found\n"
         "  9  another process is saving this dump\n"
         " 10  as 1, for want of memory, threads or file descriptors\n";
}

}  // namespace hadump
