// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "core/save/block_releaser.h"
#include "core/save/frame_ledger.h"
#include "core/save/save_plan.h"

namespace hadump {

/// What was written.
struct WrittenDump {
  DumpSummary summary;
  std::vector<EarlierSave> earlier;  ///< As in the plan, their journals where they are now.
  std::uint64_t kept_unknown = 0;    ///< See SaveOutcome.
};

/// Writes the dump, and gives each portion's memory back when it is safe: until the dump is whole
/// and has its final name. When this returns, nobody reads the old memory any more.
///
/// @param ledger  knows afterwards what is safe, and what was lost.
/// @param blocks  null to release nothing.
tl::expected<WrittenDump, SaveFailure> write_dump(const SaveContext& context, const SavePlan& plan,
                                                  FrameLedger& ledger, BlockReleaser* blocks);

}  // namespace hadump
