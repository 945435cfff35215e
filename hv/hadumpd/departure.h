// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "hv/agent/care_rules.h"
#include "hv/domain/host.h"
#include "hv/hadumpd/core_directory.h"
#include "hv/hadumpd/record_book.h"
#include "hv/hadumpd/state_directory.h"

namespace hadump {

/// What is done with a domain that has shut down, and how far it has come: an attempt that fails is
/// followed by another, which goes on from there.
struct Departure {
  unsigned domid = 0;
  std::string uuid;
  std::string name;
  std::uint64_t memory_bytes = 0;
  ShutdownAction action = ShutdownAction::kDestroy;
  std::uint64_t time = 0;       ///< of the shutdown, seconds since 1970
  unsigned quick_restarts = 0;  ///< of the successor's record
  CorePolicy cores;

  /// Set: nothing is created before every backend has let go of the domain, within this time, and
  /// the domain is gone. A request under way must not reach a disk that its successor has mounted.
  std::optional<std::chrono::milliseconds> backend_deadline{};

  bool core_tried = false;
  /// The domain is gone, or is called something else, and this is what another one is created from.
  std::optional<std::string> blueprint{};
  /// A domain that was being created for this when hadumpd was killed, and has never run.
  std::optional<unsigned> half_made{};

  bool replaces() const { return aftermath_of(action) == Aftermath::kReplaced; }
};

/// Borrowed; for any thread.
struct DepartureWorld {
  Host& host;
  StateDirectory& states;
  RecordBook& book;
  CoreDirectory& cores;
  std::function<std::uint64_t()> wall_ms;
};

/// Carries it out; called again after a failure. The blueprint is written down before the domain
/// goes, and the successor's record before it comes, so that the next hadumpd can go on, too.
/// @return the errors of Host and of writing these down. A core dump that cannot be written is a
///         line in the log: the domain would have to wait for the admin otherwise.
Result<> carry_out(Departure& departure, const DepartureWorld& world);

}  // namespace hadump
