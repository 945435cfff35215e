// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/domain/domain.h"
#include "hv/xen/handles.h"
#include "hv/xen/xen_store.h"

namespace hadump {

/// GuestLinks on real Xen: PV devices of any kind, driven through the xenbus states alone. The list
/// of devices is libxl's own below /libxl, which a guest cannot write. Handles are borrowed.
///
/// Why only the state: with the frontend Closed, Linux's blkback and netback let go of the rings
/// and go to Closed themselves, and stay registered as long as their `online` is 1; from there a
/// frontend that is Initialising makes them InitWait (Linux 6.1 drivers/block/xen-blkback/xenbus.c
/// and drivers/net/xen-netback/xenbus.c, frontend_changed()).
class XenGuestLinks : public GuestLinks {
 public:
  XenGuestLinks(const XenHandles& handles, unsigned domid)
      : handles_(handles), store_(handles.store.get()), domid_(domid) {}

  Result<> disconnect(std::chrono::milliseconds deadline) override;
  Result<> reconnect(std::chrono::milliseconds deadline) override;
  Result<> reopen_channels() override;

 private:
  struct Device {
    std::string name;  ///< "vbd/51712"
    std::string frontend;
    std::string backend;
  };
  std::vector<Device> devices() const;
  Result<> wait_for_backends(const std::vector<Device>& devices, const char* state,
                             std::chrono::milliseconds deadline) const;
  std::string store_port_key() const;
  Result<> remember_store_port() const;
  Result<> introduce(Gfn ring, unsigned port) const;
  Result<> reopen_store_channel(unsigned port);
  Result<> ask_for_connection(Gfn ring) const;
  Result<> wait_for_connection(Gfn ring) const;
  Result<Gfn> ring_frame(unsigned param) const;

  const XenHandles& handles_;
  XenStore store_;
  unsigned domid_;
};

}  // namespace hadump
