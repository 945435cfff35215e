// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "hv/domain/guest_memory.h"
#include "hv/xen/handles.h"

namespace hadump {

/// The memory of an HVM or PVH domain, for a process that reads it and may fork: its handles are
/// those of the process that uses it. Needs no toolstack. What would change the domain is
/// kUnsupported.
class XenDomainReader : public GuestMemory {
 public:
  /// @param log  borrowed.
  XenDomainReader(XenLog& log, unsigned domid) : log_(log), domid_(domid) {}

  Result<FrameMapping> map(FrameRange range, Access access) const override;
  Result<std::vector<FrameKind>> kinds(FrameRange range) const override;
  Result<std::uint64_t> total_frames() const override;
  Result<> set_limit_kib(std::uint64_t kib) override;

 private:
  struct Opened;

  Result<const GuestMemory*> memory() const;
  Result<std::uint64_t> host_free_bytes() const override;
  Result<> add_frames(const FrameSet& frames) override;
  Result<> take_away(const FrameSet& frames) override;
  Result<> move_frame(Gfn from, Gfn to) override;

  XenLog& log_;
  unsigned domid_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Opened> opened_;  ///< guarded by mutex_
};

/// "xxxxxxxx-xxxx-…", lower case.
std::string uuid_text(const std::uint8_t (&uuid)[16]);
/// @return the domain's, as uuid_text(); kNotFound when there is none of this number.
Result<std::string> uuid_of_domain(XenLog& log, unsigned domid);

}  // namespace hadump
