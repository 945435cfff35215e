// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "core/base/error.h"

namespace hadump {

/// Locks that say who writes to a file. They belong to what is open, not to the process, and end
/// with it, however that ends: open file description locks (fcntl(2), F_OFD_SETLK) of the whole
/// file. They do not meet flock(2), with which readers keep a dump from being deleted.

/// Takes the file for as long as `fd`, or a copy of it, is open.
/// @param fd    open for writing. @param path  for the message.
/// @return kBusy when somebody else has it, in this process or in another. Ok, without a lock, on a
///         file system that has none.
Result<> lock_for_writing(int fd, const std::string& path);

/// Whether nobody else has it now. @param fd  open, for whatever. @return as lock_for_writing().
Result<> check_not_written(int fd, const std::string& path);

}  // namespace hadump
