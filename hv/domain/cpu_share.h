// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>

#include "core/base/error.h"

namespace hadump {

/// How much processor time a domain may have and has had.
struct CpuUse {
  unsigned cap_percent = 0;          ///< of one processor, all vCPUs together; 0: no cap
  std::chrono::microseconds used{};  ///< by all its vCPUs since it was created
  unsigned vcpus = 0;                ///< online
};

/// A domain's share of the host's processors, in the hypervisor's scheduler. Its cap is an admin's,
/// and whoever changes it gives it back.
///
/// Implementations: XenCpuShare (hv/xen), InMemoryCpuShare (tests/fakes); both pass
/// tests/contract/cpu_share_contract.h.
/// Threads: one at a time.
class CpuShare {
 public:
  virtual ~CpuShare() = default;

  /// @return kUnsupported when the domain's scheduler has no caps; kNotFound when the domain is
  ///         gone.
  virtual Result<CpuUse> look() const = 0;
  /// Its weight stays as it is. The domain need not run.
  /// @param percent  as cap_percent. @return as look(); kOs when the scheduler refuses it: credit2
  ///                 does what is more than all its vCPUs could use.
  virtual Result<> set_cap(unsigned percent) = 0;
};

}  // namespace hadump
