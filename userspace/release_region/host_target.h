// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/stream/sender.h"

namespace hadump {

/// How long the host may take to come for a stream. hadumpd looks every second.
inline constexpr std::chrono::seconds kHostPatience{60};

/// "host:" or "host:NAME" after --to: the NAME, which may be empty. Nothing for any other target.
std::optional<std::string> host_stream_name(std::string_view to);

/// Whether the host would take a stream to this target. @return kBadData with the reason.
Result<> check_host_target(std::string_view to);

/// What a sender needs of this process. @param cancelled  see StreamSender.
StreamSender::World host_world(std::function<bool()> cancelled);

}  // namespace hadump
