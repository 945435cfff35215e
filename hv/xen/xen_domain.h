// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/domain/domain.h"
#include "hv/xen/domain_reader.h"
#include "hv/xen/handles.h"

namespace hadump {

/// Domain on real Xen. Handles are borrowed.
class XenDomain : public Domain {
 public:
  XenDomain(const XenHandles& handles, unsigned domid) : handles_(handles), domid_(domid) {}

  Result<DomainStatus> status() const override;
  Result<> pause() override;
  Result<> unpause() override;
  Result<CpuState> cpu_state() const override;
  Result<> reset(std::span<const MapEntry> map) override;
  Result<std::vector<HeldGrants>> withdraw_grants() override;
  Result<> reset_cpus(std::span<const std::byte> context, GuestPhys entry,
                      GuestPhys start_info) override;
  Result<> start() override;

  /// Shuts the domain down as if it had crashed.
  Result<> crash();

 protected:
  /// By the interface that any kind of domain has. @return one that was never started has nothing
  ///                                                  but its number.
  Result<hadump_vcpu> registers_of(unsigned id) const;

 private:
  Result<hadump_vcpu> vcpu_state(unsigned id, std::span<const std::byte> context) const;
  Result<hadump_vcpu> with_online_flag(hadump_vcpu vcpu) const;

  const XenHandles& handles_;
  unsigned domid_;
};

}  // namespace hadump
