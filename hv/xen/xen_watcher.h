// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <poll.h>

#include <chrono>
#include <vector>

#include "core/base/error.h"
#include "hv/xen/handles.h"

namespace hadump {

/// Says when something may have happened to a domain: xenstore's @introduceDomain, and
/// @releaseDomain, which also comes when a domain shuts down. It does not say what; the caller
/// looks. libxl's death events come from the same watch, and asking for them is a question to
/// xenstored for each domain, which the event loop would wait for.
///
/// Threads: one at a time.
class XenWatcher {
 public:
  static Result<XenWatcher> create();

  /// Waits until something may have happened to a domain, one of `others` is ready, or `timeout`
  /// has passed. @param others  revents are filled in. @return kOs when waiting fails.
  Result<> wait(std::vector<pollfd>& others, std::chrono::milliseconds timeout);

 private:
  explicit XenWatcher(StoreHandle store) : store_(std::move(store)) {}

  StoreHandle store_;
};

}  // namespace hadump
