// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// Called by a fake with the name of a call, before the call changes anything. What it returns, the
/// call fails with; what it throws, ends the caller as a signal would.
using CallHook = std::function<Result<>(const std::string& what)>;

inline CallHook no_hook() {
  return [](const std::string&) { return Result<>(); };
}

}  // namespace hadump
