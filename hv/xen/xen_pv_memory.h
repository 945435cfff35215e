// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <mutex>

#include "hv/domain/guest_memory.h"
#include "hv/xen/handles.h"
#include "hv/xen/pv_frames.h"

namespace hadump {

/// The memory of a real PV domain, for reading: frames are numbered as the guest numbers them, and
/// its page tables have guest frames in them (pv_page_table.h). Handles are borrowed.
///
/// The p2m is read at the first use, and not again.
class XenPvMemory : public GuestMemory {
 public:
  XenPvMemory(const XenHandles& handles, unsigned domid) : handles_(handles), domid_(domid) {}

  /// Page tables are copies. @param access  kRead; kUnsupported otherwise: what its page tables
  /// hold would not be free, and an entry is Xen's to write.
  Result<FrameMapping> map(FrameRange range, Access access) const override;
  Result<std::vector<FrameKind>> kinds(FrameRange range) const override;
  Result<std::uint64_t> total_frames() const override;
  /// As GuestMemory; kUnsupported.
  Result<> set_limit_kib(std::uint64_t kib) override;

  /// Errors as PvFrames::open(), the same at each call.
  Result<const PvFrames*> frames() const;

 private:
  Result<std::uint64_t> host_free_bytes() const override;
  Result<> add_frames(const FrameSet& frames) override;
  Result<> take_away(const FrameSet& frames) override;
  Result<> move_frame(Gfn from, Gfn to) override;

  const XenHandles& handles_;
  unsigned domid_;
  mutable std::once_flag opened_;
  mutable Result<std::unique_ptr<PvFrames>> frames_;  ///< set once, under opened_
};

}  // namespace hadump
