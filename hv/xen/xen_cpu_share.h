// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/domain/cpu_share.h"
#include "hv/xen/handles.h"

namespace hadump {

/// A domain's cap in credit or credit2, whichever its CPU pool has. Handles are borrowed.
class XenCpuShare : public CpuShare {
 public:
  XenCpuShare(const XenHandles& handles, unsigned domid) : handles_(handles), domid_(domid) {}

  Result<CpuUse> look() const override;
  Result<> set_cap(unsigned percent) override;

 private:
  const XenHandles& handles_;
  unsigned domid_;
};

}  // namespace hadump
