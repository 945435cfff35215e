// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hv/domain/host.h"
#include "hv/xen/handles.h"

namespace hadump {

/// Host on real Xen. Everything but domains() opens Xen handles and, where it needs it, a libxl
/// context of its own for each call: nobody waits for what another call waits for.
class XenHost : public Host {
 public:
  /// @param log  must outlive the host. @return kOs when not on Xen.
  static Result<std::unique_ptr<XenHost>> open(XenLog& log);

  Result<std::vector<DomainStatus>> domains() override;
  Result<DomainConfig> config(unsigned domid) override;
  Result<std::unique_ptr<OpenDomain>> open(unsigned domid) override;
  Result<> crash(unsigned domid) override;
  Result<> dump_core(unsigned domid, const std::string& path) override;
  Result<> destroy(unsigned domid) override;
  Result<> set_aside(unsigned domid, const std::string& uuid) override;
  Result<HostRoom> room_for(const std::string& blueprint, std::uint64_t keep_free_bytes) override;
  Result<unsigned> create(const std::string& blueprint, std::uint64_t memory_kib) override;
  Result<> set_memory(unsigned domid, std::uint64_t kib) override;

 private:
  explicit XenHost(XenLog& log) : log_(log) {}

  XenLog& log_;
  std::mutex mutex_;
  ControlHandle control_;  ///< guarded by mutex_
};

}  // namespace hadump
