// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "hv/domain/guest_memory.h"
#include "hv/xen/handles.h"

namespace hadump {

/// GuestMemory of a real domain. Handles are borrowed.
class XenGuestMemory : public GuestMemory {
 public:
  XenGuestMemory(const XenHandles& handles, unsigned domid) : handles_(handles), domid_(domid) {}

  Result<FrameMapping> map(FrameRange range, Access access) const override;
  Result<std::vector<FrameMapping>> map_all(const FrameSet& frames, Access access) const override;
  Result<std::vector<FrameKind>> kinds(FrameRange range) const override;
  Result<std::uint64_t> total_frames() const override;
  Result<> set_limit_kib(std::uint64_t kib) override;

 private:
  Result<std::uint64_t> host_free_bytes() const override;
  Result<> add_frames(const FrameSet& frames) override;
  Result<> take_away(const FrameSet& frames) override;
  Result<> move_frame(Gfn from, Gfn to) override;
  Result<> populate_in_pieces(std::span<const xen_pfn_t> large_extents);

  const XenHandles& handles_;
  unsigned domid_;
};

}  // namespace hadump
