// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <memory>

#include "core/base/error.h"
#include "hv/domain/host.h"
#include "hv/hadumpd/guest_observer.h"
#include "hv/hadumpd/stream_keeper.h"
#include "hv/hadumpd/thread_jobs.h"
#include "hv/hadumpd/wakeup.h"
#include "hv/stream/stream_directory.h"
#include "hv/xen/handles.h"

namespace hadump {

/// What hadumpd needs to receive streams, in the real world.
class StreamSide {
 public:
  /// Everything is borrowed.
  struct World {
    Host& host;
    XenLog& log;
    const Wakeup& wakeup;
    const std::atomic<bool>& stopping;  ///< ends the streams
  };
  /// @return what opening xenstore said.
  static Result<std::unique_ptr<StreamSide>> open(const World& world);

  /// One round of the event loop.
  void look(const std::map<unsigned, StreamGuest>& guests, const StreamLimits& limits);
  const StreamKeeper& keeper() const { return keeper_; }

 private:
  StreamSide(const World& world, StoreHandle store);
  Result<> check_domain(unsigned domid, const std::string& uuid) const;

  World world_;
  StoreHandle store_;  ///< the observer's
  StreamDirectory files_;
  StreamWorld streams_;
  ThreadJobs jobs_;
  StreamKeeper keeper_;
  GuestObserver offers_;
};

}  // namespace hadump
