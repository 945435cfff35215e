// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/agent/policy.h"
#include "hv/capture/capture_record.h"

namespace hadump {

/// The order that a crash gives where the policy wants it captured. Its words are each as they must
/// be; that they go together is check_order()'s to say.
inline CaptureOrder capture_order(const CapturePolicy& policy) {
  CaptureOrder order;
  order.mode = policy.mode;
  order.to = policy.to;
  order.format = policy.format;
  order.compress = policy.compress;
  order.dump_level = policy.dump_level;
  order.restart = true;
  return order;
}

}  // namespace hadump
