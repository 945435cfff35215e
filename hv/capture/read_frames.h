// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <mutex>

#include "core/vmcore/source.h"

namespace hadump {

/// A dump that remembers which of its frames were asked for.
class ReadFrames : public VmcoreSource {
 public:
  /// @param source  borrowed.
  explicit ReadFrames(const VmcoreSource& source) : source_(source) {}

  const VmcoreLayout& layout() const override { return source_.layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    {
      const std::lock_guard lock(mutex_);
      frames_.insert({first, Gfn{first.value + status.size()}});
    }
    return source_.read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

  FrameSet frames() const {
    const std::lock_guard lock(mutex_);
    return frames_;
  }

 private:
  const VmcoreSource& source_;
  mutable std::mutex mutex_;
  mutable FrameSet frames_;  ///< guarded by mutex_
};

}  // namespace hadump
