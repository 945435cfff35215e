// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>

#include "core/base/error.h"
#include "hv/xen/handles.h"

namespace hadump {

/// dom0's end of a domain's event channel with xenstored; empty when there is none, or when
/// xenstored runs in another domain.
std::optional<std::uint32_t> store_port_in_dom0(xc_interface* control, unsigned domid);

/// Free event channels of dom0, taken for as long as this object lives. Xen gives out the lowest
/// free number, so whoever lets go of a number meanwhile and asks for a new one gets the same.
class TakenPorts {
 public:
  /// Takes every free number below `port`. @return kOs: without /dev/xen/evtchn, or out of memory.
  static Result<TakenPorts> below(std::uint32_t port);

 private:
  using EventsHandle = UniqueHandle<xenevtchn_handle, xenevtchn_close>;
  explicit TakenPorts(EventsHandle events) : events_(std::move(events)) {}

  EventsHandle events_;
};

}  // namespace hadump
