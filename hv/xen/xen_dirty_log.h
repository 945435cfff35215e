// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>

#include "hv/domain/dirty_log.h"
#include "hv/xen/grant_table.h"
#include "hv/xen/handles.h"

namespace hadump {

/// Xen's log-dirty of an HVM or PVH domain. Handles are borrowed. Does not end by itself: with us,
/// whoever comes after us ends it.
class XenDirtyLog : public DirtyLog {
 public:
  XenDirtyLog(const XenHandles& handles, unsigned domid) : handles_(handles), domid_(domid) {}
  XenDirtyLog(const XenDirtyLog&) = delete;
  XenDirtyLog& operator=(const XenDirtyLog&) = delete;
  ~XenDirtyLog() override;

  Result<> start(Gfn end, std::uint64_t keep_free_bytes) override;
  Result<FrameSet> take(bool last) override;
  Result<FrameSet> unlogged() override;
  Result<> stop() override;

 private:
  Result<> make_room(std::uint64_t keep_free_bytes) const;

  const XenHandles& handles_;
  unsigned domid_;
  Gfn end_;
  xc_hypercall_buffer_t bitmap_{};  ///< a bit for each frame; hbuf is null before start()
  int bitmap_pages_ = 0;
  std::optional<GrantTable> grants_;
};

}  // namespace hadump
