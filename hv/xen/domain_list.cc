// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/domain_list.h"

#include <algorithm>
#include <cerrno>

#include "hv/xen/domain_reader.h"

namespace hadump {
namespace {

constexpr int kMaxDomains = 4096;

ShutdownReason reason_of(unsigned reason) {
  return reason < static_cast<unsigned>(ShutdownReason::kUnknown)
             ? static_cast<ShutdownReason>(reason)
             : ShutdownReason::kUnknown;
}

}  // namespace

DomainStatus status_of(const xc_dominfo_t& info) {
  DomainStatus status;
  status.domid = info.domid;
  status.uuid = uuid_text(info.handle);
  status.paused = info.paused;
  status.dying = info.dying;
  // libxc clears `shutdown` and sets `crashed` when the reason is a crash.
  status.shutdown = info.shutdown || info.crashed;
  status.reason = info.crashed ? ShutdownReason::kCrash : reason_of(info.shutdown_reason);
  status.has_run = info.cpu_time != 0;
  status.max_memory_kib = info.max_memkb;
  status.max_vcpu_id = info.max_vcpu_id;
  return status;
}

Result<std::vector<DomainStatus>> list_domains(xc_interface* control) {
  std::vector<xc_dominfo_t> infos(kMaxDomains);
  const int count = xc_domain_getinfo(control, 1, kMaxDomains, infos.data());
  if (count < 0 && errno != ESRCH) return fail_os(errno, "listing domains");
  std::vector<DomainStatus> list;
  list.reserve(static_cast<std::size_t>(std::max(count, 0)));
  for (int i = 0; i < count; ++i) list.push_back(status_of(infos[static_cast<std::size_t>(i)]));
  return list;
}

}  // namespace hadump
