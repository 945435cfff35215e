// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "hv/capture/live_buffer.h"
#include "hv/capture/live_plan.h"
#include "hv/capture/page_image.h"
#include "hv/capture/throttle.h"
#include "hv/domain/frame_survey.h"
#include "hv/domain/host.h"

namespace hadump {

/// The world of one live copy. Borrowed; the functions are called on the copy's thread only.
struct LiveWorld {
  OpenDomain& domain;
  PageImage& image;
  LiveLimits limits;
  /// Looks at the domain's frames anew, when it has got or lost memory meanwhile.
  std::function<Result<FrameSurvey>()> look;
  /// Asked often while the guest runs; an error ends the copy.
  std::function<Result<>()> may_go_on;
  /// Before the guest is stopped and when it runs again: whoever comes after us must know.
  std::function<Result<>(bool is_stopped)> note_stop;
  /// Before its cap is changed, and when it has its own again (nothing): likewise.
  std::function<Result<>(const std::optional<CapChange>&)> note_cap;
  /// For tests: a step that was reached.
  std::function<void(std::string_view)> passed;
  std::function<std::uint64_t()> wall_ms;
  std::function<std::chrono::microseconds()> monotonic;
  std::function<void(const LiveProgress&)> show;
  std::function<void(const std::string&)> info;
  /// What is copied while the guest is stopped is kept in memory first, up to this.
  std::uint64_t buffer_frames = 32_MiB >> kFrameShift;
  std::uint64_t keep_free_bytes = 0;  ///< of the host's memory
};

/// Copies a running guest's memory as it is at one instant: in passes while it runs, each over what
/// was written to during the one before, and the rest while it is stopped for a moment. Frames that
/// the log does not see being written to are part of each rest.
///
/// Whatever happens, the guest runs afterwards with the processor time that it had, and nothing is
/// logged; after a kill that is up to whoever comes after us (repair_live()).
class LiveCopy {
 public:
  /// @param survey  of the domain's frames.
  LiveCopy(const LiveWorld& world, FrameSurvey survey);
  LiveCopy(const LiveCopy&) = delete;
  LiveCopy& operator=(const LiveCopy&) = delete;

  /// @return kBusy when the log is somebody else's, or the guest is too busy and its limits say to
  ///         give up then; the errors of the domain's parts, of the image, and of may_go_on().
  Result<LiveInstant> run();
  /// After a run() that has failed: something could not be taken back, and is repair_live()'s.
  bool is_left_to_repair() const { return is_left_to_repair_; }

  // Of the instant, after run().
  const FrameSurvey& survey() const { return survey_; }
  std::vector<hadump_vcpu> take_vcpus() { return std::move(vcpus_); }

 private:
  using Mappings = std::vector<FrameMapping>;

  Result<> go_on_to_the_instant();
  Result<bool> go_through();
  Result<LiveStep> next_step();
  Result<> make_ready();
  Result<> pass();
  Result<> look_at_log(std::chrono::microseconds begun, std::chrono::microseconds copied);
  Result<bool> stop(bool longer);
  Result<bool> take_while_stopped(bool longer, std::chrono::microseconds& lasted);
  Result<bool> take_rest(bool longer);
  Result<FrameSet> written_since();
  Result<> look_again_if_changed();
  Result<bool> has_changed();
  Result<> stream(const FrameSet& frames, bool while_it_runs);
  Result<> copy_more(const FrameSet& more);
  Result<> keep_buffer();
  FrameSet always() const;
  std::chrono::microseconds now() const { return world_.monotonic(); }

  const LiveWorld& world_;
  FrameSurvey survey_;
  FrameSet frames_;    ///< what the dump is of
  FrameSet unlogged_;  ///< granted, as far as it is in frames_
  FrameSet pending_;   ///< written to since it was copied
  FrameSet rest_;      ///< what a stop has to copy
  FrameSet more_;      ///< and what was found in the stop only
  Mappings ready_;     ///< of rest_, when it fits into the buffer
  bool is_ready_ = false;
  bool is_new_ = true;                            ///< nothing of the image is written
  std::pair<std::uint64_t, std::uint64_t> size_;  ///< frames, and the balloon's target
  double us_per_mapped_ = 0;
  bool is_left_to_repair_ = false;
  LivePlan plan_;
  Throttle throttle_;
  LiveInstant instant_;
  std::vector<hadump_vcpu> vcpus_;
  LiveBuffer buffer_;
};

/// Makes a domain run on as before whose live copy was interrupted. Does what it can, and can be
/// repeated.
/// @param was_stopped  as note_stop() was told last. @param throttled  likewise note_cap().
/// @return the first error.
Result<> repair_live(OpenDomain& domain, bool was_stopped,
                     const std::optional<CapChange>& throttled);

}  // namespace hadump
