// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "core/base/file.h"
#include "core/save/region_releaser.h"
#include "core/vmcore/source.h"

namespace hadump {

/// Old memory that can be given back: what is read after that is an error, not zeros.
class ReleasableVmcore : public VmcoreSource, public RegionReleaser {
 public:
  explicit ReleasableVmcore(const VmcoreSource& memory) : memory_(memory) {}

  const VmcoreLayout& layout() const override { return memory_.layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    {
      const std::lock_guard lock(mutex_);
      if (released_.overlaps({first, Gfn{first.value + status.size()}})) ++reads_of_released_;
    }
    return memory_.read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

  Result<RegionTable> regions() override {
    FrameSet held = layout().frames;
    held.erase(released_);
    if (held.empty()) return fail(ErrorCode::kNotFound, "all is back");
    std::vector<Region> table;
    for (FrameRange range : held.ranges()) table.push_back({range, RegionState::kHeld});
    for (FrameRange range : released_.ranges()) table.push_back({range, RegionState::kReleased});
    std::ranges::sort(table, {}, &Region::range);
    return RegionTable(std::move(table));
  }
  /// Nobody else is there.
  Result<UniqueFd> lock() override { return open_file("/dev/null", O_RDONLY); }
  Result<> release(FrameRange range) override {
    const std::lock_guard lock(mutex_);
    released_.insert(range);
    return {};
  }
  Result<> report_progress(std::string_view) override { return {}; }

  std::uint64_t reads_of_released() const { return reads_of_released_; }
  const FrameSet& released() const { return released_; }

 private:
  const VmcoreSource& memory_;
  mutable std::mutex mutex_;  // protects released_
  FrameSet released_;
  mutable std::atomic<std::uint64_t> reads_of_released_{0};
};

/// One of several views of the same memory.
class BorrowedVmcore : public VmcoreSource {
 public:
  explicit BorrowedVmcore(const VmcoreSource& memory) : memory_(memory) {}
  const VmcoreLayout& layout() const override { return memory_.layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    return memory_.read(first, out, status);
  }
  Result<FrameView> map(FrameRange range) const override { return memory_.map(range); }

 private:
  const VmcoreSource& memory_;
};

/// What another save finds after this one was killed: what is given back is lost.
class RestOfVmcore : public VmcoreSource {
 public:
  RestOfVmcore(const VmcoreSource& memory, FrameSet lost)
      : memory_(memory), lost_(std::move(lost)) {}

  const VmcoreLayout& layout() const override { return memory_.layout(); }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override {
    auto done = memory_.read(first, out, status);
    for (std::size_t i = 0; i < status.size(); ++i) {
      if (!lost_.contains(Gfn{first.value + i})) continue;
      status[i] = FrameStatus::kFailed;
      std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(i * kFrameSize), kFrameSize,
                  std::byte{0xEE});
    }
    return done;
  }
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

 private:
  const VmcoreSource& memory_;
  FrameSet lost_;
};

}  // namespace hadump
