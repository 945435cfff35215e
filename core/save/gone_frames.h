// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>

#include "core/vmcore/source.h"

namespace hadump {

/// Memory that is gone: every frame reads as unreadable, so that a dump records it as lost instead
/// of passing it over in silence.
class GoneFrames : public VmcoreSource {
 public:
  explicit GoneFrames(FrameSet frames) { layout_.frames = std::move(frames); }

  const VmcoreLayout& layout() const override { return layout_; }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    std::fill(out.begin(), out.end(), std::byte{0});
    for (std::size_t i = 0; i < status.size(); ++i)
      status[i] = layout_.frames.contains(Gfn{first.value + i}) ? FrameStatus::kFailed
                                                                : FrameStatus::kAbsent;
    return {};
  }
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

 private:
  VmcoreLayout layout_;
};

}  // namespace hadump
