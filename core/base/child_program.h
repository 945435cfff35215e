// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace hadump {

/// How a program ended.
struct ProgramEnd {
  int status = 0;  ///< Its exit status, if no signal ended it.
  int signal = 0;  ///< What ended it; 0: it ended by itself.
};

struct ProgramCall {
  std::vector<std::string>
      words;  ///< The program's path, which is not searched for, and arguments.
  /// Descriptors that it inherits, as do its children: what is locked through them stays locked as
  /// long as one of them lives.
  std::vector<int> shared_fds = {};
  /// Asked often; true ends it: SIGTERM to its process group, and SIGKILL ten seconds later.
  std::function<bool()> cancelled = {};
};

/// Runs a program and waits for its end. It gets nothing on standard input, both outputs go to our
/// standard error, no signal is blocked, SIGPIPE and SIGXFSZ are not ignored, it is not protected
/// from the OOM killer, and it has a process group of its own. When we are killed it gets SIGTERM.
/// @return kNotFound or kOs when it cannot be started. A program that was stopped because of
///         `cancelled` is one that ended.
/// @pre words is not empty.
Result<ProgramEnd> run_child_program(const ProgramCall& call);

}  // namespace hadump
