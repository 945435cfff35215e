// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <spdlog/formatter.h>

#include <memory>

namespace hadump {

/// Whether what is written to `fd` goes into the journal.
/// @param journal_stream  the value of JOURNAL_STREAM, "DEVICE:INODE" in decimal, or null. A shell
///                        or a redirection may have put something else behind `fd` since.
bool is_journal(int fd, const char* journal_stream);

/// How a line of the log looks. The journal adds the time, and takes the priority from a "<N>" in
/// front (sd-daemon(3)), so that `journalctl -p err` finds it.
std::unique_ptr<spdlog::formatter> log_formatter(bool journal);

}  // namespace hadump
