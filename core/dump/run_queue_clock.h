// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>

#include "core/base/unique_handle.h"

namespace hadump {

/// A clock that stands still while the thread that made it waits for a CPU. Where more threads work
/// than there are CPUs, that is most of what a thread waits for.
class RunQueueClock {
 public:
  RunQueueClock();

  /// Since some moment; where the kernel does not say how long threads wait (CONFIG_SCHED_INFO), of
  /// an ordinary clock.
  std::chrono::nanoseconds now() const;

 private:
  std::chrono::nanoseconds waited() const;

  UniqueFd fd_;
};

}  // namespace hadump
