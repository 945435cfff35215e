// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <spdlog/formatter.h>

#include <memory>

namespace hadump {

/// A message as one JSON object in a line, {"level":"warning","message":"…"}: for a stream that has
/// progress as JSON, too.
std::unique_ptr<spdlog::formatter> json_log_formatter();

}  // namespace hadump
