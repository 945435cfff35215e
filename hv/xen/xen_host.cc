// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_host.h"

#include <cerrno>
#include <functional>
#include <utility>

#include "hv/xen/domain_list.h"
#include "hv/xen/toolstack.h"
#include "hv/xen/xen_cpu_share.h"
#include "hv/xen/xen_dirty_log.h"
#include "hv/xen/xen_domain.h"
#include "hv/xen/xen_guest_links.h"
#include "hv/xen/xen_guest_memory.h"
#include "hv/xen/xen_guest_store.h"
#include "hv/xen/xen_pv_domain.h"
#include "hv/xen/xen_pv_memory.h"

namespace hadump {
namespace {

bool is_pv(xc_interface* control, unsigned domid) {
  xc_dominfo_t info;
  return xc_domain_getinfo(control, domid, 1, &info) == 1 && info.domid == domid && info.hvm == 0;
}

class XenOpenDomain : public OpenDomain {
 public:
  XenOpenDomain(XenHandles handles, unsigned domid)
      : handles_(std::move(handles)),
        dirty_log_(handles_, domid),
        cpu_share_(handles_, domid),
        links_(handles_, domid),
        store_(handles_.store.get(), domid) {
    if (is_pv(handles_.control.get(), domid)) {
      auto memory = std::make_unique<XenPvMemory>(handles_, domid);
      domain_ = std::make_unique<XenPvDomain>(handles_, domid, *memory);
      memory_ = std::move(memory);
    } else {
      domain_ = std::make_unique<XenDomain>(handles_, domid);
      memory_ = std::make_unique<XenGuestMemory>(handles_, domid);
    }
  }

  Domain& domain() override { return *domain_; }
  GuestMemory& memory() override { return *memory_; }
  DirtyLog& dirty_log() override { return dirty_log_; }
  CpuShare& cpu_share() override { return cpu_share_; }
  GuestLinks& links() override { return links_; }
  GuestStore& store() override { return store_; }

 private:
  XenHandles handles_;  ///< first: the others borrow it
  std::unique_ptr<GuestMemory> memory_;
  std::unique_ptr<Domain> domain_;  ///< may borrow memory_
  XenDirtyLog dirty_log_;
  XenCpuShare cpu_share_;
  XenGuestLinks links_;
  XenGuestStore store_;
};

// Calls `work` with a toolstack that lives for this call.
template <typename Work>
auto with_toolstack(XenLog& log, Work&& work) -> decltype(work(std::declval<const Toolstack&>())) {
  auto handles = XenHandles::open(log);
  if (!handles) return fail(std::move(handles));
  auto libxl = open_libxl(log);
  if (!libxl) return fail(std::move(libxl));
  return work(Toolstack(libxl->get(), *handles));
}

}  // namespace

Result<std::unique_ptr<XenHost>> XenHost::open(XenLog& log) {
  std::unique_ptr<XenHost> host(new XenHost(log));
  host->control_.reset(xc_interface_open(log.get(), log.get(), 0));
  if (!host->control_) return fail_os(errno, "opening the Xen control interface");
  return host;
}

Result<std::vector<DomainStatus>> XenHost::domains() {
  const std::lock_guard lock(mutex_);
  return list_domains(control_.get());
}

Result<DomainConfig> XenHost::config(unsigned domid) {
  return with_toolstack(log_, [&](const Toolstack& tools) { return tools.domain_config(domid); });
}

Result<std::unique_ptr<OpenDomain>> XenHost::open(unsigned domid) {
  auto handles = XenHandles::open(log_);
  if (!handles) return fail(std::move(handles));
  return std::make_unique<XenOpenDomain>(std::move(*handles), domid);
}

Result<> XenHost::crash(unsigned domid) {
  auto handles = XenHandles::open(log_);
  if (!handles) return fail(std::move(handles));
  return XenDomain(*handles, domid).crash();
}

Result<> XenHost::dump_core(unsigned domid, const std::string& path) {
  return with_toolstack(log_, [&](const Toolstack& tools) { return tools.dump_core(domid, path); });
}

Result<> XenHost::destroy(unsigned domid) {
  return with_toolstack(log_, [&](const Toolstack& tools) { return tools.destroy(domid); });
}

Result<> XenHost::set_aside(unsigned domid, const std::string& uuid) {
  return with_toolstack(log_, [&](const Toolstack& tools) { return tools.set_aside(domid, uuid); });
}

Result<HostRoom> XenHost::room_for(const std::string& blueprint, std::uint64_t keep_free_bytes) {
  return with_toolstack(
      log_, [&](const Toolstack& tools) { return tools.room_for(blueprint, keep_free_bytes); });
}

Result<unsigned> XenHost::create(const std::string& blueprint, std::uint64_t memory_kib) {
  return with_toolstack(
      log_, [&](const Toolstack& tools) { return tools.create(blueprint, memory_kib); });
}

Result<> XenHost::set_memory(unsigned domid, std::uint64_t kib) {
  return with_toolstack(log_, [&](const Toolstack& tools) { return tools.set_memory(domid, kib); });
}

}  // namespace hadump
