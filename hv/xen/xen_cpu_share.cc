// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_cpu_share.h"

#include <fmt/format.h>

#include <cerrno>
#include <limits>

namespace hadump {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::nanoseconds;

Result<xc_dominfo_t> info_of(xc_interface* control, unsigned domid) {
  xc_dominfo_t info;
  if (xc_domain_getinfo(control, domid, 1, &info) != 1 || info.domid != domid)
    return fail(ErrorCode::kNotFound, fmt::format("domain {} does not exist", domid));
  return info;
}

// Each CPU pool has its own.
Result<std::uint32_t> scheduler_of(xc_interface* control, std::uint32_t pool) {
  xc_cpupoolinfo_t* const info = xc_cpupool_getinfo(control, pool);
  if (info == nullptr) return fail_os(errno, "asking for the domain's CPU pool");
  const std::uint32_t scheduler = info->sched_id;
  const bool is_its = info->cpupool_id == pool;
  xc_cpupool_infofree(control, info);
  if (!is_its) return fail(ErrorCode::kNotFound, "the domain's CPU pool is gone");
  if (scheduler == XEN_SCHEDULER_CREDIT || scheduler == XEN_SCHEDULER_CREDIT2) return scheduler;
  return fail(ErrorCode::kUnsupported,
              "the scheduler of the domain's CPU pool has no caps; only credit and credit2 have");
}

}  // namespace

Result<CpuUse> XenCpuShare::look() const {
  xc_interface* control = handles_.control.get();
  auto info = info_of(control, domid_);
  if (!info) return fail(std::move(info));
  auto scheduler = scheduler_of(control, info->cpupool);
  if (!scheduler) return fail(std::move(scheduler));
  CpuUse use;
  use.used = duration_cast<microseconds>(nanoseconds(static_cast<std::int64_t>(info->cpu_time)));
  use.vcpus = info->nr_online_vcpus;
  int failed = 0;
  if (*scheduler == XEN_SCHEDULER_CREDIT2) {
    xen_domctl_sched_credit2 now{};
    failed = xc_sched_credit2_domain_get(control, domid_, &now);
    use.cap_percent = now.cap;
  } else {
    xen_domctl_sched_credit now{};
    failed = xc_sched_credit_domain_get(control, domid_, &now);
    use.cap_percent = now.cap;
  }
  if (failed != 0) return fail_os(errno, "asking for its cap");
  return use;
}

// Both schedulers leave a weight alone that is said to be 0 (csched_dom_cntl(),
// csched2_dom_cntl()): an admin's is not read here and written back later.
Result<> XenCpuShare::set_cap(unsigned percent) {
  if (percent >= std::numeric_limits<std::uint16_t>::max())  // credit: leave it as it is
    return fail(ErrorCode::kOs, fmt::format("a cap of {} %", percent));
  xc_interface* control = handles_.control.get();
  auto info = info_of(control, domid_);
  if (!info) return fail(std::move(info));
  auto scheduler = scheduler_of(control, info->cpupool);
  if (!scheduler) return fail(std::move(scheduler));
  int failed = 0;
  if (*scheduler == XEN_SCHEDULER_CREDIT2) {
    xen_domctl_sched_credit2 wanted{};
    wanted.cap = static_cast<std::uint16_t>(percent);
    failed = xc_sched_credit2_domain_set(control, domid_, &wanted);
  } else {
    xen_domctl_sched_credit wanted{};
    wanted.cap = static_cast<std::uint16_t>(percent);
    failed = xc_sched_credit_domain_set(control, domid_, &wanted);
  }
  return failed == 0 ? Result<>() : Result<>(fail_os(errno, "setting its cap"));
}

}  // namespace hadump
