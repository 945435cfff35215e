// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "hv/agent/capture_limit.h"
#include "hv/agent/core_limit.h"
#include "hv/agent/host_limits.h"
#include "hv/agent/stream_limit.h"
#include "hv/agent/window_failure.h"
#include "hv/agent/window_size.h"
#include "hv/rescue/dump_node.h"
#include "hv/rescue/window_cmdline.h"

namespace hadump {

/// What is done when a domain crashes.
enum class OnCrash : std::uint8_t {
  kRebootInPlace,
  kCapture,  ///< the host keeps its memory, and another domain takes its place
  kAuto,     ///< in place where the guest has the module, and it can be done; else a capture
};

/// How a crashed domain is captured, in the words of `hadump capture`.
struct CapturePolicy {
  std::string mode = "auto";
  std::string to = "/var/lib/xen/dump/";
  std::string format = "kdump";
  std::string compress = "lzo";
  std::string dump_level = "31";
};

/// What the admin wants for one domain.
struct DomainPolicy {
  bool enabled = true;
  OnCrash on_crash = OnCrash::kRebootInPlace;
  CapturePolicy capture;
  StreamPolicy stream;
  bool window_auto = true;  ///< choose_window() sets window_bytes
  std::uint64_t window_bytes = kLeastWindow;
  std::uint64_t window_max = kMostWindow;  ///< of what is chosen
  CmdlinePolicy window_cmdline;
  SaveMode save_area = SaveMode::kAdded;
  unsigned max_crashes = 3;  ///< within crash_period; at one more the domain is left as it is
  std::chrono::seconds crash_period{3600};
  std::chrono::seconds backend_timeout{10};
  OnWindowFailure on_window_failure = OnWindowFailure::kByConfiguration;
  std::chrono::seconds window_boot_timeout{600};  ///< 0: never
  std::string kernel;                             ///< empty: the domain's own
  std::string ramdisk;                            ///< empty: the domain's own
  std::string cmdline;                            ///< empty: the domain's own
};

/// The section `host`, and the policies of all domains: the section `default`, then every section
/// `domain PATTERN` whose shell pattern matches the domain's name, in the order of the file; later
/// ones win key by key. The sections `cores`, `captures` and `streams` are about the host.
class PolicyTable {
 public:
  /// Adds `key = value` of a section. @return kBadData for an unknown section or key, or a value
  /// that makes no sense.
  Result<> add(const std::string& section, const std::string& key, const std::string& value);
  DomainPolicy for_domain(const std::string& name) const;
  /// Of all sections about domains, one for each key, in the order of the file; "*" is [default]'s.
  /// Unless it has brackets, a pattern matches itself: for_domain() of it says what is in force
  /// there.
  std::vector<std::string> patterns() const;
  const HostLimits& host() const { return host_; }
  const CorePolicy& cores() const { return cores_; }
  const CaptureLimits& captures() const { return captures_; }
  const StreamLimits& streams() const { return streams_; }

 private:
  struct Rule {
    std::string pattern;  ///< of the domain's name
    std::string key;
    std::string value;
  };
  static Result<> apply(const Rule& rule, DomainPolicy& policy);
  static Result<> apply(const Rule& rule, HostLimits& limits);
  std::vector<Rule> rules_;
  HostLimits host_;
  CorePolicy cores_;
  CaptureLimits captures_;
  StreamLimits streams_;
};

}  // namespace hadump
