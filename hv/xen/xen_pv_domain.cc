// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_pv_domain.h"

namespace hadump {
namespace {

tl::unexpected<Error> not_in_place() {
  return fail(ErrorCode::kUnsupported, "a PV guest is not booted in place");
}

}  // namespace

Result<CpuState> XenPvDomain::cpu_state() const {
  auto status = this->status();
  if (!status) return fail(std::move(status));
  auto frames = memory_.frames();
  if (!frames) return fail(std::move(frames));
  CpuState state;
  for (unsigned id = 0; id <= status->max_vcpu_id; ++id) {
    auto vcpu = registers_of(id);
    if (!vcpu) return fail(std::move(vcpu));
    const auto table = (*frames)->guest_frame(xen_cr3_to_pfn(vcpu->cr3));
    vcpu->cr3 = table ? address_of(*table).value : 0;
    state.vcpus.push_back(*vcpu);
  }
  return state;
}

Result<> XenPvDomain::reset(std::span<const MapEntry> /*map*/) {
  return not_in_place();
}

Result<std::vector<HeldGrants>> XenPvDomain::withdraw_grants() {
  return not_in_place();
}

Result<> XenPvDomain::reset_cpus(std::span<const std::byte> /*context*/, GuestPhys /*entry*/,
                                 GuestPhys /*start_info*/) {
  return not_in_place();
}

}  // namespace hadump
