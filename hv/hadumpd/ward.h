// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "hv/agent/policy.h"
#include "hv/agent/retry_rules.h"
#include "hv/domain/host.h"
#include "hv/hadumpd/departure.h"
#include "hv/hadumpd/jobs.h"

namespace hadump {

/// A boot in the window that is watched.
struct WatchedBoot {
  std::uint64_t id = 0;                ///< DomainRecord::started_ms
  std::chrono::milliseconds looked{};  ///< when, on a clock that does not jump
  std::chrono::milliseconds lived{};   ///< while somebody has looked, and it was not paused
};

/// A guest has ended, and xenstore is asked for what it said last.
struct GuestEnd {
  enum class Words { kAsked, kHeard, kUnheard };  ///< the last: nobody has answered in time

  std::uint64_t ticket = 0;             ///< of GuestObserver::ask()
  std::chrono::milliseconds noticed{};  ///< monotonic
  Words words = Words::kAsked;
};

/// A domain that hadumpd knows. The event loop's; a job has copies of what it needs.
struct Ward {
  DomainConfig config;
  DomainPolicy policy;
  FrameSet ram;
  BootNeed need;           ///< what the window was chosen by
  std::string window_why;  ///< a clause; empty when the admin has chosen it
  std::string note;        ///< why it is ignored; empty when it is watched
  bool published = false;  ///< what the policy asks for is in its xenstore
  bool stale = false;      ///< there is another configuration; it is looked at anew
  bool given_up = false;   ///< its present crash or shutdown was left as it is
  std::string why;         ///< it was given up
  JobNumber job = 0;       ///< the newest
  bool rescuing = false;   ///< that is a crash run
  /// The window that this crash run boots the waiting dump in, if a larger one; 0: the same.
  std::uint64_t larger_window = 0;
  bool rescue_boot = false;  ///< this crash run boots the waiting dump for the initramfs to save
  bool capturing = false;    ///< that is a capture
  bool captured = false;     ///< it was left as it is because its memory has been captured
  Attempts attempts;         ///< at its present crash or shutdown
  Attempts endings;          ///< at ending the dump that waits in it
  Attempts keepings;         ///< at keeping its memory as that dump needs it
  Attempts publishings;      ///< at telling the guest what the policy asks for
  WatchedBoot boot;
  std::optional<GuestEnd> end;  ///< of the boot that has just ended
  /// Shared with the job that carries it out, and read here only when that job is over.
  std::shared_ptr<Departure> departure;
};

/// What is known when a domain is seen for the first time.
struct Newcomer {
  DomainStatus status;
  PolicyTable policies;
  std::optional<DomainRecord> record;
};

/// Asks the toolstack about the domain and, when it lives, publishes what the policy asks for, or
/// leaves that for later. Waits for both. @return the errors of Host::config().
Result<Ward> make_ward(Host& host, const Newcomer& newcomer);

/// Chooses the window where the policy leaves that to hadumpd.
void choose_window(Ward& ward);

/// Writes into the domain's xenstore what the guest is asked for. @pre the domain runs: the event
/// that xenstored sends with it would change the memory of a crashed one.
/// @return the errors of GuestStore::publish(); a part may be written.
Result<> publish_policy(Host& host, unsigned domid, const Ward& ward,
                        const std::optional<DomainRecord>& record);

}  // namespace hadump
