// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hv/hadumpd/jobs.h"
#include "hv/rescue/record.h"
#include "hv/rescue/registration.h"

namespace hadump {

/// One domain as `hadump list` shows it.
struct DomainView {
  std::string name;
  std::string uuid;
  unsigned domid = 0;
  std::string state;  ///< docs/man/hadump.8.md has them all
  std::uint64_t since_ms = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t window_bytes = 0;  ///< after the next crash; 0: it is not booted in place
  std::string window_why;          ///< empty when the admin has chosen it
  GuestProgress progress;
  std::optional<DomainRecord> record;
  /// Why it is ignored, what the last attempt failed at and when the next is, or what a crash would
  /// fail at; may be empty.
  std::string note;
  JobNumber job = 0;          ///< that runs for it; 0: none
  unsigned failures = 0;      ///< of the present crash or shutdown, in a row
  std::uint64_t wait_ms = 0;  ///< until the next attempt
};

}  // namespace hadump
