// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/store_port.h"

#include <cerrno>

namespace hadump {

std::optional<std::uint32_t> store_port_in_dom0(xc_interface* control, unsigned domid) {
  std::uint64_t port = 0;
  if (xc_hvm_param_get(control, domid, HVM_PARAM_STORE_EVTCHN, &port) != 0) return std::nullopt;
  xc_evtchn_status_t channel{};
  channel.dom = static_cast<domid_t>(domid);
  channel.port = static_cast<evtchn_port_t>(port);
  if (xc_evtchn_status(control, &channel) != 0 || channel.status != EVTCHNSTAT_interdomain ||
      channel.u.interdomain.dom != 0)
    return std::nullopt;
  return channel.u.interdomain.port;
}

Result<TakenPorts> TakenPorts::below(std::uint32_t port) {
  EventsHandle events(xenevtchn_open(nullptr, 0));
  if (!events) return fail_os(errno, "opening event channels");
  for (;;) {
    const int taken = xenevtchn_bind_unbound_port(events.get(), 0);
    if (taken < 0) return fail_os(errno, "taking an event channel");
    if (static_cast<std::uint32_t>(taken) < port) continue;
    // The first one above: this one is not needed.
    if (xenevtchn_unbind(events.get(), static_cast<evtchn_port_t>(taken)) != 0)
      return fail_os(errno, "letting go of an event channel");
    return TakenPorts(std::move(events));
  }
}

}  // namespace hadump
