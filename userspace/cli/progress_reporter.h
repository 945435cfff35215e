// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/save/save.h"
#include "userspace/cli/clock.h"
#include "userspace/cli/json.h"

namespace hadump {

enum class ProgressMode { kAuto, kPlain, kJson, kNone };

/// "auto", "plain", "json", "none". kBadData otherwise.
Result<ProgressMode> parse_progress_mode(std::string_view text);

/// Frames by class, in the order of PageClass, as an object.
Json classes_json(const std::array<std::uint64_t, kPageClasses>& frames);

/// One line for people, at most 120 printable characters.
std::string progress_line(const SaveProgress& progress);
/// One JSON object without a newline. release-region(8) documents its keys.
std::string progress_json(const SaveProgress& progress);

/// Shows progress as often as suits the reader: on a terminal one line that is rewritten, in a log
/// a line every few seconds, as JSON an object each second; and each second a line for the host.
class ProgressReporter {
 public:
  /// @param out       borrowed.
  /// @param terminal  kAuto rewrites its line.
  /// @param to_host   given a line at most once a second; may be empty.
  ProgressReporter(ProgressMode mode, std::ostream& out, bool terminal, const Clock& clock,
                   std::function<void(const std::string&)> to_host);

  void update(const SaveProgress& progress);
  /// Shows it whatever the time is, and ends the terminal's line.
  void finish(const SaveProgress& progress);

 private:
  void show(const SaveProgress& progress);

  enum class Style { kTerminal, kPlain, kJson, kNone };
  Style style_;
  std::ostream& out_;
  const Clock& clock_;
  std::function<void(const std::string&)> to_host_;
  std::chrono::milliseconds next_show_;
  std::chrono::milliseconds next_host_;
};

}  // namespace hadump
