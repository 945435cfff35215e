// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_domain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "hv/xen/domain_list.h"
#include "hv/xen/grant_table.h"
#include "hv/xen/hvm_context.h"

namespace hadump {
namespace {

// Pauses are counted; nobody pauses a domain more often than this.
constexpr int kMaxPauses = 64;

}  // namespace

Result<DomainStatus> XenDomain::status() const {
  xc_dominfo_t info;
  if (xc_domain_getinfo(handles_.control.get(), domid_, 1, &info) != 1 || info.domid != domid_)
    return fail(ErrorCode::kNotFound, fmt::format("domain {} does not exist", domid_));
  return status_of(info);
}

Result<> XenDomain::pause() {
  if (xc_domain_pause(handles_.control.get(), domid_) != 0) return fail_os(errno, "pausing");
  return {};
}

Result<> XenDomain::unpause() {
  if (xc_domain_unpause(handles_.control.get(), domid_) == 0) return {};
  // domain_unpause_by_systemcontroller(): nobody has paused it.
  if (errno == EINVAL) return fail(ErrorCode::kBusy, "the domain is not paused");
  return fail_os(errno, "unpausing");
}

Result<CpuState> XenDomain::cpu_state() const {
  CpuState state;
  const int bytes = xc_domain_hvm_getcontext(handles_.control.get(), domid_, nullptr, 0);
  if (bytes <= 0) return fail_os(errno, "asking for the HVM context's size");
  state.context.resize(static_cast<std::size_t>(bytes));
  const int used = xc_domain_hvm_getcontext(handles_.control.get(), domid_,
                                            reinterpret_cast<std::uint8_t*>(state.context.data()),
                                            static_cast<std::uint32_t>(bytes));
  if (used <= 0) return fail_os(errno, "reading the HVM context");
  state.context.resize(static_cast<std::size_t>(used));

  auto status = this->status();
  if (!status) return fail(std::move(status));
  for (unsigned id = 0; id <= status->max_vcpu_id; ++id) {
    auto vcpu = vcpu_state(id, state.context);
    if (!vcpu) return fail(std::move(vcpu));
    state.vcpus.push_back(*vcpu);
  }
  return state;
}

Result<hadump_vcpu> XenDomain::vcpu_state(unsigned id, std::span<const std::byte> context) const {
  hvm_hw_cpu record;
  const auto found = find_hvm_record(context, HVM_SAVE_CODE(CPU), id);
  // A vCPU that stopped itself, such as the others in a panic, has no record.
  if (found.size() < sizeof(record)) return registers_of(id);
  std::memcpy(&record, found.data(), sizeof(record));
  return with_online_flag(vcpu_from_record(id, record));
}

Result<hadump_vcpu> XenDomain::registers_of(unsigned id) const {
  vcpu_guest_context_any_t any{};
  if (xc_vcpu_getcontext(handles_.control.get(), domid_, id, &any) == 0)
    return with_online_flag(vcpu_from_context(id, any.x64));
  if (errno == ENODATA)  // never started: XEN_DOMCTL_getvcpucontext, is_initialised
    return vcpu_never_started(id);
  return fail_os(errno, fmt::format("reading vCPU {}'s context", id));
}

Result<hadump_vcpu> XenDomain::with_online_flag(hadump_vcpu vcpu) const {
  xc_vcpuinfo_t info;
  if (xc_vcpu_getinfo(handles_.control.get(), domid_, vcpu.id, &info) != 0)
    return fail_os(errno, fmt::format("asking about vCPU {}", vcpu.id));
  if (info.online != 0) vcpu.flags |= HADUMP_VCPU_ONLINE;
  return vcpu;
}

Result<> XenDomain::reset(std::span<const MapEntry> map) {
  auto status = this->status();
  if (!status) return fail(std::move(status));
  // Xen resets only what has shut down (domain_soft_reset(): EINVAL unless every vCPU is paused for
  // shutdown), and a reset takes that state away: for a second one it is shut down again.
  if (!status->shutdown)
    if (auto done = crash(); !done) return done;
  if (xc_domain_soft_reset(handles_.control.get(), domid_) != 0)
    return fail_os(errno, "xc_domain_soft_reset");
  std::vector<e820entry> entries;
  for (const MapEntry& entry : map)
    entries.push_back({entry.address, entry.bytes, static_cast<std::uint32_t>(entry.type)});
  if (entries.size() <= E820MAX &&
      xc_domain_set_memory_map(handles_.control.get(), domid_, entries.data(),
                               static_cast<std::uint32_t>(entries.size())) != 0)
    return fail_os(errno, "xc_domain_set_memory_map");
  return {};
}

Result<std::vector<HeldGrants>> XenDomain::withdraw_grants() {
  return hadump::withdraw_grants(handles_, domid_);
}

Result<> XenDomain::reset_cpus(std::span<const std::byte> context, GuestPhys entry,
                               GuestPhys start_info) {
  auto status = this->status();
  if (!status) return fail(std::move(status));
  auto boot = make_boot_context(context, status->max_vcpu_id + 1, entry, start_info);
  if (!boot) return fail(std::move(boot));
  if (xc_domain_hvm_setcontext(handles_.control.get(), domid_,
                               reinterpret_cast<std::uint8_t*>(boot->data()),
                               static_cast<std::uint32_t>(boot->size())) != 0)
    return fail_os(errno, "xc_domain_hvm_setcontext");
  return {};
}

Result<> XenDomain::start() {
  for (int i = 0; i < kMaxPauses; ++i) {
    auto status = this->status();
    if (!status) return fail(std::move(status));
    if (!status->paused) return {};
    if (xc_domain_unpause(handles_.control.get(), domid_) != 0) return fail_os(errno, "unpausing");
  }
  return fail(ErrorCode::kBusy, "the domain stays paused");
}

Result<> XenDomain::crash() {
  if (xc_domain_shutdown(handles_.control.get(), domid_, SHUTDOWN_crash) != 0)
    return fail_os(errno, "xc_domain_shutdown");
  return {};
}

}  // namespace hadump
