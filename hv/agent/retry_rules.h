// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "hv/rescue/record.h"

namespace hadump {

// When something is tried again that has failed, and when a domain that has only just been created
// is created once more.

/// Whether the same attempt can succeed later without anybody changing its input: no memory, no
/// room on disk, a backend that is late. libxl's errors count as such, since its numbers do not
/// tell.
bool is_transient(const Error& error);

/// Whether the domain is between the commit and its start. Whatever fails then is tried again,
/// since every step may be repeated and the domain cannot be left as it crashed any more.
bool must_be_finished(const DomainRecord* record);

/// The pause after a number of failures in a row: 1 s, 2 s, 4 s and so on, a minute at most.
/// @param failures  at least 1.
std::chrono::milliseconds pause_after(unsigned failures);

/// The pause before the next attempt at a crashed domain; nothing when `error` is final.
/// @param record  of the domain, after the attempt; may be null.
std::optional<std::chrono::milliseconds> pause_before_retry(const Error& error,
                                                            const DomainRecord* record,
                                                            unsigned failures);

/// The pause before a domain is created again, so that one that reboots in a loop does not keep the
/// toolstack busy: none for a domain that ran for a minute, and for the first that did not.
struct Recreation {
  std::chrono::milliseconds pause{};
  unsigned quick_restarts = 0;  ///< for the record of the successor
};
/// @param shutdown_ms  when the domain shut down, milliseconds since 1970. Before its start, the
///                     clock was set back: then nobody knows how long it ran.
Recreation plan_recreation(const DomainRecord& record, std::uint64_t shutdown_ms);

/// When there is another attempt, and why it was not the first.
class Attempts {
 public:
  using Clock = std::chrono::milliseconds;  ///< on a clock that does not jump

  bool due(Clock now) const { return now >= next_; }
  Clock next() const { return next_; }
  unsigned failures() const { return failures_; }
  const std::string& error() const { return error_; }
  /// Not before then, though nothing has failed.
  void wait_until(Clock next) { next_ = next; }
  /// @return whether `error` is news, for the log.
  bool fail(const std::string& error, Clock next);
  void reset() { *this = Attempts(); }

 private:
  unsigned failures_ = 0;
  Clock next_{};
  std::string error_;
};

}  // namespace hadump
