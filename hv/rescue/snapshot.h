// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/error.h"
#include "hv/domain/domain.h"
#include "hv/domain/frame_survey.h"
#include "hv/domain/guest_memory.h"
#include "hv/rescue/dump_node.h"
#include "hv/rescue/step_times.h"
#include "hv/rescue/window_plan.h"

namespace hadump {

/// Everything that a snapshot says besides the boot regions' content.
struct SnapshotInput {
  DumpId dump_id{};
  SaveMode mode = SaveMode::kAdded;
  std::uint64_t crash_time = 0;
  WindowPlan plan;
  FrameRange save_area;
  FrameSurvey survey;
  CpuState cpus;
  std::vector<std::byte> vmcoreinfo_note;  ///< may be empty
  GuestVirt page_offset;
  std::uint32_t boots = 1;
  /// Where the boot regions' content is now, as LowCopy takes it; empty: in its place.
  std::vector<FrameRange> low_sources{};
};

/// How long the save area of this snapshot must be, and where its sections are.
SaveLayout layout_of(const FrameSet& ram, const WindowPlan& plan, const FrameSurvey& survey,
                     const CpuState& cpus, std::size_t vmcoreinfo_bytes);

/// Copies the boot regions and writes every section and the header, reads all of it back, and only
/// then sets the mark `complete`. The guest's own memory outside the save area is not changed.
/// @pre the save area overlaps nothing that is copied.
/// @param copied  called between copying and verifying; its failure ends the snapshot
/// @param mapped  receives mappings that were needed; the caller drops them when it has time
/// @return kBadData when what is read back is not what was written.
Result<> write_snapshot(const GuestMemory& memory, const SnapshotInput& input,
                        const SaveLayout& layout, StepTimes& times,
                        const std::function<Result<>()>& copied, std::vector<FrameMapping>& mapped);

/// The most that a snapshot of one domain can have. Whoever reads a save area reads memory of the
/// guest, which can have written any lengths there, with checksums that fit.
struct SnapshotLimits {
  std::uint64_t vcpus = HADUMP_MAX_VCPUS;
  std::uint64_t blocks = HADUMP_MAX_ADDRESS / HADUMP_BLOCK_SIZE;  ///< block_table_bytes()
};

/// The most bytes that a section may have. LOW is never in our memory as a whole and has no limit
/// of its own.
std::uint64_t max_section_bytes(hadump_section_index index, const SnapshotLimits& limits);

/// A snapshot as it is in the save area.
struct SavedSnapshot {
  hadump_save_header header;
  DumpNode node;
  FrameSurvey survey;
  CpuState cpus;
  std::vector<std::byte> elf_header;
  std::vector<std::uint8_t> blocks;
};

/// Reads a snapshot and checks its mark and every checksum, LOW's only when asked, since that takes
/// as long as it is large. Allocates and works no more than `limits` allow.
/// @return kNotFound when the mark is missing: there is no snapshot. kBadData when anything is
///         wrong with it.
Result<SavedSnapshot> read_snapshot(const GuestMemory& memory, FrameRange save_area, bool check_low,
                                    const SnapshotLimits& limits = {});

/// What a second crash changes in a save area: three pieces, small enough for a journal file.
struct SnapshotRewrite {
  std::uint64_t elf_header_offset = 0;
  std::vector<std::byte> elf_header;
  std::uint64_t node_offset = 0;
  std::vector<std::byte> node;
  std::vector<std::byte> header;
};

/// The blocks that the guest has marked as released since its boot; anything else in its table is
/// garbage. @param complaint  as for plan_rewrite().
FrameSet released_blocks(const SavedSnapshot& saved, std::string& complaint);

/// Plans the next boot of the same dump: released blocks become RAM, `boots` counts up.
/// @param complaint  a sentence when the guest's block table had garbage in it, else empty.
Result<SnapshotRewrite> plan_rewrite(const SavedSnapshot& saved, std::string& complaint);

/// Applies a rewrite; can be repeated after an interruption.
Result<> apply_rewrite(const GuestMemory& memory, FrameRange save_area,
                       const SnapshotRewrite& rewrite);

}  // namespace hadump
