// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <mutex>
#include <shared_mutex>

#include "core/vmcore/page_filter.h"
#include "core/vmcore/source.h"

namespace hadump {

/// Old memory of which somebody else may release a part while it is being saved: that part is
/// unreadable from the moment it is noticed. Until then it reads as zeros, or as what its new owner
/// writes, so whoever reads has to check afterwards.
///
/// Threads: lose() may run beside all other functions.
class WatchedVmcore : public VmcoreSource {
 public:
  explicit WatchedVmcore(std::unique_ptr<VmcoreSource> inner) : inner_(std::move(inner)) {}

  /// These frames cannot be read any more.
  void lose(const FrameSet& frames);

  const VmcoreLayout& layout() const override { return inner_->layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override;
  Result<FrameView> map(FrameRange range) const override;
  bool prefers_mapping() const override { return inner_->prefers_mapping(); }

 private:
  /// What of `range` is lost.
  FrameSet lost_in(FrameRange range) const;

  std::unique_ptr<VmcoreSource> inner_;
  mutable std::shared_mutex mutex_;  // protects lost_
  FrameSet lost_;
};

/// A filter that reads such memory: pages whose tables are lost are not told apart any more, but
/// kept.
///
/// Threads: distrust() may run beside classify().
class WatchedFilter : public PageFilter {
 public:
  explicit WatchedFilter(std::unique_ptr<PageFilter> inner) : inner_(std::move(inner)) {}

  /// What tells these frames apart is lost.
  void distrust(const FrameSet& frames);

  Result<> classify(FrameRange range, std::vector<PageRun>& runs) const override;

 private:
  std::unique_ptr<PageFilter> inner_;
  mutable std::shared_mutex mutex_;  // protects distrusted_
  FrameSet distrusted_;
};

}  // namespace hadump
