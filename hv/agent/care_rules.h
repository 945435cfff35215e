// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "hv/agent/aftermath.h"
#include "hv/agent/policy.h"
#include "hv/domain/domain_config.h"
#include "hv/rescue/record.h"
#include "hv/rescue/registration.h"

namespace hadump {

// What is to be done about a domain, from what is known about it. Caretaker (hv/hadumpd) asks, and
// does it. Records are null for a domain that we have never taken over from xl.

/// Why a domain is not watched; empty when it is. What concerns the next crash only is not asked
/// while a dump waits in the domain: nobody else would see that dump to its end.
std::string why_not_watched(const DomainConfig& config, const DomainPolicy& policy,
                            const DomainRecord* record);

/// Why its crash could not be followed by a boot in its place; empty when it could.
std::string why_not_in_place(const DomainConfig& config, const DomainPolicy& policy);

/// Whether a crash is followed by a capture of its memory, and not by a boot in its place.
bool is_captured(const DomainConfig& config, const DomainPolicy& policy, const DomainRecord& record,
                 GuestState guest);

/// What HADUMP_XS_AGENT_STATE must say of a running domain that we see for the first time; empty
/// when what is there must stay. An agent before us may have been killed between writing down that
/// a dump is over and saying so, and the guest waits for that word.
std::string_view agent_state_for(const DomainRecord* record, GuestState guest);

struct ShutdownDuty {
  enum class Kind : std::uint8_t {
    kNothing,  ///< somebody else's business
    kRescue,   ///< boot it with its memory in a dump, or with the dump that waits
    kObey,     ///< do `action`: xl exited when it preserved the domain
  };
  Kind kind = Kind::kNothing;
  ShutdownAction action = ShutdownAction::kPreserve;
  bool operator==(const ShutdownDuty&) const = default;
};

/// @param never_up  of a boot in the window: its userspace cannot have ended it.
/// @pre status.shutdown.
ShutdownDuty duty_at_shutdown(const DomainStatus& status, const DomainConfig& config,
                              const DomainRecord* record, bool never_up = false);

/// The record of the domain that replaces another: ours, without a dump.
DomainRecord record_of_successor(const DomainRecord& old, std::uint64_t now_ms);

/// The state of a domain as `hadump list` shows it, and since when.
class ShownState {
 public:
  struct Facts {
    bool ignored = false;
    bool given_up = false;
    bool rescuing = false;    ///< a crash run is under way
    bool retrying = false;    ///< an attempt has failed, and there is another
    bool restarting = false;  ///< another domain takes its place
    bool capturing = false;   ///< its memory is being captured
    bool captured = false;    ///< its memory was captured, and it was left as it is
    GuestState guest = GuestState::kNone;
    const DomainRecord* record = nullptr;
  };

  /// To be called whenever something may have changed. What the record knows the time of counts
  /// from that time, so that a restart of the agent does not make it younger.
  void update(const Facts& facts, std::uint64_t now_ms);

  std::string_view state() const { return state_; }
  std::uint64_t since_ms() const { return since_ms_; }

 private:
  std::string_view state_;  ///< of a literal; docs/man/hadump.8.md has them all
  std::uint64_t since_ms_ = 0;
};

}  // namespace hadump
