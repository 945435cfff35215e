// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>

namespace hadump {

/// Whether the machine lacks something that it may have again in a moment: memory, threads, file
/// descriptors or locks. Any user can use them up, so for want of them no dump is thrown away, none
/// that was saved is called missing, and no target is refused.
constexpr bool is_shortage(int errno_value) {
  switch (errno_value) {
    case ENOMEM:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOLCK:
      return true;
    default:
      return false;
  }
}

}  // namespace hadump
