// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include "core/base/frame_set.h"
#include "core/vmcore/page_filter.h"

namespace hadump {

/// How far a dump is. Plain data: whoever shows it decides how.
struct DumpProgress {
  std::uint64_t frames_total = 0;  ///< All frames that the writer was created for.
  std::uint64_t frames_done = 0;   ///< Handed to the sinks, or left out.
  std::uint64_t frames_durable = 0;
  /// Frames by class, also those whose class the level keeps. kZero only counts pages that were
  /// looked at: a page that was left out for another reason is in that class.
  std::array<std::uint64_t, kPageClasses> frames_by_class{};
  std::uint64_t frames_left_out = 0;      ///< By the level, of any class.
  std::uint64_t frames_absent = 0;        ///< Not in the source (a dump that is filtered again).
  std::uint64_t frames_missing = 0;       ///< Unreadable: recorded in the dump as lost.
  std::uint64_t frames_unclassified = 0;  ///< Kept because the filter failed.
  std::uint64_t frames_compressed = 0;    ///< The rest of what was written is raw.
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;  ///< Page data and tables, without holes.
  std::chrono::nanoseconds elapsed{};

  /// Adds the counters that a part of the work has: classes, losses, bytes read.
  void add(const DumpProgress& part);

  /// Bytes of old memory dealt with per second, 0 at the start.
  double bytes_per_second() const;
  /// Nothing until there is a rate to go by.
  std::optional<std::chrono::seconds> remaining() const;
};

}  // namespace hadump
