// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/un.h>

#include <chrono>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// The address of a Unix stream socket. @return kBadData when the path is too long.
Result<sockaddr_un> socket_address(const std::string& path);

/// How long a client waits. hadumpd answers at once, whatever it is at work on.
inline constexpr std::chrono::seconds kAnswerTimeout{10};

/// The client's side: sends `request`, returns the answer. kNotFound when nobody listens; kBusy
/// when there is no answer within `timeout`.
Result<std::string> ask_daemon(const std::string& path, const std::string& request,
                               std::chrono::seconds timeout = kAnswerTimeout);

}  // namespace hadump
