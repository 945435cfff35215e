// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "hv/agent/care_rules.h"
#include "hv/agent/policy.h"
#include "hv/hadumpd/preparer.h"
#include "hv/hadumpd/stall_watch.h"
#include "hv/hadumpd/state_directory.h"
#include "hv/rescue/record.h"
#include "hv/rescue/registration.h"
#include "hv/xen/toolstack.h"

namespace hadump {

/// One domain as `hadump list` shows it.
struct DomainView {
  std::string name;
  std::string uuid;
  unsigned domid = 0;
  std::string state;  ///< docs/man/hadump.8.md has them all
  std::uint64_t since_ms = 0;
  std::uint64_t memory_bytes = 0;
  GuestProgress progress;
  std::optional<DomainRecord> record;
  std::string note;  ///< why it is ignored, or what a crash would fail at; may be empty
};

/// Looks after the domains of one host: what is done with them when something happens.
/// Noticing that something has happened is the daemon's part.
///
/// Threads: one at a time.
class Caretaker {
 public:
  /// Everything is borrowed.
  Caretaker(const XenHandles& handles, libxl_ctx* context, StateDirectory& states,
            Preparer& preparer, StallWatch& stalls, std::string core_directory)
      : handles_(handles),
        toolstack_(context, handles),
        states_(states),
        preparer_(preparer),
        stalls_(stalls),
        core_directory_(std::move(core_directory)) {}

  void set_policies(PolicyTable policies) { policies_ = std::move(policies); }

  /// Reads what an agent before us wrote down.
  Result<> load();

  /// Looks at every domain and does what is due. Cheap when nothing is.
  Result<> look_around();

  /// Tries again where an attempt has failed, and asks the policies again.
  void reconsider();

  /// The domains that are looked after.
  std::set<unsigned> wards() const;
  /// Domains that were started again since the last call.
  std::set<unsigned> take_restarted() { return std::exchange(restarted_, {}); }

  /// Sees to one crashed domain now, whatever the crash-loop limit says.
  Result<> rescue(unsigned domid);

  std::vector<DomainView> views();
  /// Makes a hung domain crash; one that has crashed and was left as it is, is seen to again.
  /// @return kNotFound or kUnsupported when it is not watched, kBusy when it has shut down; the
  ///         errors of CrashRun::run().
  Result<> trigger(unsigned domid);

 private:
  struct Ward {
    DomainConfig config;
    DomainPolicy policy;
    FrameSet ram;
    std::string note;        ///< why it is ignored
    std::string trouble;     ///< why its dump cannot be ended; has been logged
    bool given_up = false;   ///< its present crash was left as it is
    bool published = false;  ///< what the policy asks for is in its xenstore
  };

  Ward* ward_of(const DomainStatus& status);
  Result<Ward> make_ward(unsigned domid);
  std::map<unsigned, std::string> kernels() const;
  void publish_policy(unsigned domid, const Ward& ward);
  void forget_gone(const std::vector<DomainStatus>& present);
  void look_at(const DomainStatus& status, Ward& ward);
  GuestState guest_state(unsigned domid, const Ward& ward) const;
  void note_state(unsigned domid, const Ward& ward);
  void see_to_shutdown(const DomainStatus& status, Ward& ward);
  void see_to_crash(const DomainStatus& status, Ward& ward);
  void see_to_running(const DomainStatus& status, Ward& ward);
  void obey(const DomainStatus& status, Ward& ward, ShutdownAction action);
  Result<> act(unsigned domid, const Ward& ward, ShutdownAction action);
  void log_times(const DomainRecord& record) const;
  Result<> run_crash(unsigned domid, Ward& ward);
  DomainRecord& record_of(unsigned domid, const Ward& ward);
  DomainRecord* known_record(const std::string& uuid);
  void give_up(unsigned domid, Ward& ward, const std::string& why);

  const XenHandles& handles_;
  Toolstack toolstack_;
  StateDirectory& states_;
  Preparer& preparer_;
  StallWatch& stalls_;
  std::string core_directory_;
  PolicyTable policies_;
  std::set<unsigned> restarted_;
  bool wards_are_new_ = false;
  std::map<std::string, DomainRecord> records_;  ///< by UUID
  std::map<unsigned, Ward> wards_;               ///< by domid
  std::map<std::string, ShownState> shown_;      ///< by UUID; outlives a new configuration
};

}  // namespace hadump
