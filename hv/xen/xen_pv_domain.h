// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/xen/xen_domain.h"
#include "hv/xen/xen_pv_memory.h"

namespace hadump {

/// A real PV domain: it has no HVM context, and its vCPUs' CR3 are made what they would be with
/// guest frames in the page tables. It is not reset.
class XenPvDomain : public XenDomain {
 public:
  /// @param memory  of the same domain; borrowed.
  XenPvDomain(const XenHandles& handles, unsigned domid, const XenPvMemory& memory)
      : XenDomain(handles, domid), memory_(memory) {}

  /// Its context is empty.
  Result<CpuState> cpu_state() const override;
  /// kUnsupported, all three.
  Result<> reset(std::span<const MapEntry> map) override;
  Result<std::vector<HeldGrants>> withdraw_grants() override;
  Result<> reset_cpus(std::span<const std::byte> context, GuestPhys entry,
                      GuestPhys start_info) override;

 private:
  const XenPvMemory& memory_;
};

}  // namespace hadump
