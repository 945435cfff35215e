// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "core/base/frame_set.h"
#include "core/save/region_releaser.h"
#include "hv/domain/frame_survey.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// The memory of a domain that was put aside, as a save sees it: what the domain still has is held,
/// and what is released goes, cleared, back to the host.
class AliasReleaser : public RegionReleaser {
 public:
  /// Finds out what an earlier run has given back. @param memory  borrowed.
  /// @param survey  of the domain as it crashed.
  /// @param saved  what that run's journal calls durable. It may have been cleared, though the
  ///               domain still has it: it counts as released, and goes with the domain.
  /// @return the errors of GuestMemory::kinds().
  static Result<AliasReleaser> look(GuestMemory& memory, const FrameSurvey& survey,
                                    const FrameSet& saved);

  /// Called after each release. @param bytes  all that were given back until then, in any run.
  void on_release(std::function<void(std::uint64_t bytes)> told) { told_ = std::move(told); }

  Result<RegionTable> regions() override;
  /// @return kBadData for what is not held; kOs when the domain has kept it, or a part of it.
  Result<> release(FrameRange range) override;
  Result<> report_progress(std::string_view) override { return {}; }

 private:
  AliasReleaser(GuestMemory& memory, FrameSet all, FrameSet holes, FrameSet gone)
      : memory_(memory),
        all_(std::move(all)),
        holes_(std::move(holes)),
        released_(gone),
        gone_(std::move(gone)) {}

  GuestMemory& memory_;
  FrameSet all_;    ///< with content
  FrameSet holes_;  ///< between them
  FrameSet released_;
  FrameSet gone_;  ///< what of it the domain does not have any more
  std::function<void(std::uint64_t)> told_ = [](std::uint64_t) {};
};

}  // namespace hadump
