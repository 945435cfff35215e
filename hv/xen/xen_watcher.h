// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include <poll.h>

#include "core/base/error.h"
#include "hv/xen/handles.h"

namespace hadump {

/// Says when something may have happened to a domain: libxl's death events, and xenstore's
/// @introduceDomain and @releaseDomain. It does not say what; the caller looks.
///
/// Threads: one at a time. The libxl context is borrowed and must be this thread's.
class XenWatcher {
 public:
  static Result<XenWatcher> create(libxl_ctx* context);
  XenWatcher(XenWatcher&&) = default;
  XenWatcher& operator=(XenWatcher&&) = delete;
  ~XenWatcher();

  /// Asks libxl to tell of the next shutdown or end of exactly these domains. A domain that has
  /// shut down already is told once.
  void follow(const std::set<unsigned>& domids);
  /// To be told of the next shutdown of a domain that was told of and lives again.
  void follow_again(unsigned domid);

  /// Waits until something may have happened to a domain, one of `others` is ready, or `timeout`
  /// has passed. @param others  revents are filled in.
  /// @return whether something may have happened to a domain; kOs when waiting fails.
  Result<bool> wait(std::vector<pollfd>& others, std::chrono::milliseconds timeout);

 private:
  explicit XenWatcher(libxl_ctx* context) : context_(context) {}
  bool take_store_events();
  bool take_libxl_events();

  libxl_ctx* context_;
  StoreHandle store_;
  std::map<unsigned, libxl_evgen_domain_death*> generators_;
};

}  // namespace hadump
