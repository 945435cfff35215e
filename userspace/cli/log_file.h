// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <spdlog/sinks/sink.h>

#include <string>

namespace hadump {

/// A log at the end of a file of ours, which gets mode 0600: messages name what is in a dump. It
/// follows no link of the file's name. Throws spdlog_ex when the file cannot be opened, or others
/// can change it or the way to it (trusted_path.h).
spdlog::sink_ptr open_log_file(const std::string& path);

}  // namespace hadump
