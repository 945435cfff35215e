// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "hv/rescue/dump_node.h"
#include "hv/rescue/window_history.h"

namespace hadump {

/// How far the agent got with one domain; each is written down when the step has been completed.
enum class Step : std::uint8_t {
  kNone,  ///< nothing was done, or all of it was undone
  kPaused,
  kVcpusSaved,
  kMemoryAdded,
  kLowCopied,
  kSnapshotComplete,  ///< verified; from here on the guest's window may change
  kBackendsDisconnected,
  kReset,
  kLoaded,
  kReconnected,
  kVcpusSet,
  kStarted,  ///< the guest runs, its dump waits
  kDone,     ///< the dump is over, added memory is back; we still own the domain
};
std::string_view to_string(Step step);
Result<Step> parse_step(std::string_view text);

/// What the agent must remember about a domain, should it be killed. Survives the agent, not the
/// host: with the host the domain is gone.
struct DomainRecord {
  std::string uuid;
  std::string name;
  unsigned domid = 0;
  std::string boot_id;  ///< of the host; empty: unknown, and then it fits any
  Step step = Step::kNone;
  SaveMode mode = SaveMode::kAdded;
  FrameRange save_area;  ///< empty: none. Added memory is named here before it is added.
  /// Added memory that no dump is in: the larger save area that is being written, or the one that
  /// it has taken the place of. Empty: none. Who finds it here takes it away.
  FrameRange other_area;
  DumpId dump_id{};
  std::uint64_t crash_time = 0;  ///< of the dump that waits
  std::uint32_t boots = 0;
  /// Written down before the first reset: from then on the window may not be the crashed kernel's
  /// any more, and the save area is the only place where its content is.
  bool committed = false;
  /// Written down before added memory is taken away: the snapshot may be gone in part.
  bool dump_over = false;
  bool rewrite_pending = false;  ///< a journal of a second crash's rewrite waits beside this file
  std::uint64_t window_bytes = 0;
  std::uint64_t boot_bytes = 0;
  std::uint64_t held_bytes = 0;
  std::uint64_t absent_frames = 0;
  bool full_scan = false;
  /// The guest's balloon target before the agent raised it, and what the agent raised it to; 0: not
  /// raised.
  std::uint64_t old_target_kib = 0;
  std::uint64_t raised_target_kib = 0;
  /// The same for the limit of the domain's memory.
  std::uint64_t old_limit_kib = 0;
  std::uint64_t raised_limit_kib = 0;
  /// Frames whose content is in spare ones until they are replaced (GuestMemory::replace()).
  FrameSet replaced;
  std::vector<std::uint64_t> crashes;  ///< when, seconds since the host's start; for the limit
  bool crash_counted = false;          ///< the crash that the domain is in is in `crashes`
  unsigned quick_restarts = 0;  ///< how often in a row the domain was created again within a minute
  WindowHistory window;         ///< of the dump that waits
  std::string error;            ///< why the last attempt failed; empty when it did not
  std::vector<std::pair<std::string, double>> times;  ///< step, ms, of the last boot
  std::uint64_t noticed_ms = 0;  ///< wall clock in ms since 1970: the crash was noticed
  std::uint64_t started_ms = 0;  ///< the same: the guest was started
  std::uint64_t done_ms = 0;     ///< the same: the dump was over

  /// A dump waits in the running guest, or its boot has begun and must be finished.
  bool has_snapshot() const { return step >= Step::kSnapshotComplete && step <= Step::kStarted; }
};

/// JSON; what docs/testing.md and `hadump status --json` show.
std::string to_json(const DomainRecord& record);
/// kBadData when it is not such a record.
Result<DomainRecord> parse_record(const std::string& json);

}  // namespace hadump
