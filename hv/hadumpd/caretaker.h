#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hv/agent/policy.h"
#include "hv/agent/record.h"
#include "hv/agent/registration.h"
#include "hv/hadumpd/boot_file_cache.h"
#include "hv/hadumpd/state_directory.h"
#include "hv/xen/toolstack.h"

namespace hadump {

/// One domain as `hadump list` shows it.
struct DomainView {
  std::string name;
  std::string uuid;
  unsigned domid = 0;
  std::string state;  ///< watching, registered, waiting, saving, crashed, failed, ignored …
  std::uint64_t since_ms = 0;
  std::uint64_t memory_bytes = 0;
  GuestProgress progress;
  std::optional<DomainRecord> record;
  std::string note;  ///< why it is ignored, or what went wrong; may be empty
};

/// Looks after the domains of one host: what is done with them when something happens.
/// Noticing that something has happened is the daemon's part.
///
/// Threads: one at a time.
class Caretaker {
 public:
  struct Paths {
    std::string state_directory;
    std::string run_directory;
  };
  Caretaker(const XenHandles& handles, libxl_ctx* context, StateDirectory& states, Paths paths)
      : handles_(handles), toolstack_(context, handles), states_(states),
        paths_(std::move(paths)) {}

  void set_policies(PolicyTable policies) { policies_ = std::move(policies); }

  /// Reads what an agent before us wrote down.
  Result<> load();

  /// Looks at every domain and does what is due. Cheap when nothing is.
  void look_around();

  /// Sees to one crashed domain now, whatever the crash-loop limit says.
  Result<> rescue(unsigned domid);

  std::vector<DomainView> views() const;
  /// Makes a hung domain crash. @return kNotFound, kUnsupported.
  Result<> trigger(unsigned domid);

 private:
  struct Ward {
    DomainConfig config;
    DomainPolicy policy;
    FrameSet ram;
    std::string note;      ///< why it is ignored
    bool given_up = false; ///< its present crash was left as it is
    bool prepared = false;
    std::uint64_t since_ms = 0;
  };

  Ward& ward_of(const DomainStatus& status);
  Result<Ward> make_ward(unsigned domid);
  void publish_policy(unsigned domid, const Ward& ward);
  void look_at(const DomainStatus& status);
  void see_to_shutdown(const DomainStatus& status, Ward& ward);
  void see_to_crash(const DomainStatus& status, Ward& ward);
  void see_to_running(const DomainStatus& status, Ward& ward);
  void obey(const DomainStatus& status, ShutdownAction action);
  void recover_interrupted(const DomainStatus& status, Ward& ward);
  void log_times(const DomainRecord& record) const;
  Result<> run_crash(unsigned domid, Ward& ward);
  BootFileCache files_for(unsigned domid, const Ward& ward);
  DomainRecord& record_of(unsigned domid, const Ward& ward);

  const XenHandles& handles_;
  Toolstack toolstack_;
  StateDirectory& states_;
  Paths paths_;
  PolicyTable policies_;
  std::map<std::string, DomainRecord> records_;  ///< by UUID
  std::map<unsigned, Ward> wards_;               ///< by domid
};

}  // namespace hadump
