// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "core/save/block_releaser.h"
#include "core/save/earlier_save.h"
#include "core/save/save_plan.h"

namespace hadump {

/// Releases what is held and safe, and the save area when nothing else is left.
/// @return true when the dump is done and all memory is back.
/// @pre nobody reads the old memory any more: source, filter and writer are gone.
Result<bool> release_rest(BlockReleaser& blocks, RegionReleaser& releaser, FrameLedger& ledger);

/// The dump is over, so nobody needs its journals any more, nor partial files of the same target.
/// @param earlier   whose journals are where they are now.
/// @param complete  earlier saves hold nothing that the dump has not.
Result<> remove_journals(const SaveContext& context, const SavePlan& plan,
                         const std::vector<EarlierSave>& earlier, bool complete);

}  // namespace hadump
