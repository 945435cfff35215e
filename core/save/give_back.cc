// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/give_back.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/save/save_registry.h"

namespace hadump {

Result<bool> release_rest(BlockReleaser& blocks, RegionReleaser& releaser, FrameLedger& ledger) {
  blocks.release_everywhere();
  auto table = releaser.regions();
  // The module takes its files away when the last range is back.
  if (!table && table.error().code() == ErrorCode::kNotFound) return true;
  if (!table) return fail(std::move(table));
  // A block that the save area lies in stays "partial" until the save area goes.
  if (!table->in_state(RegionState::kHeld).empty()) return false;
  if (!blocks.retry_refused(*table)) return false;
  // The save area holds the window's old content.
  const FrameSet save_area = table->in_state(RegionState::kSaveArea);
  ledger.look(*table);
  if (!ledger.unsafe().empty()) return false;
  for (FrameRange range : save_area.ranges())
    if (auto done = releaser.release(range); !done) return fail(std::move(done));
  return true;
}

Result<> remove_journals(const SaveContext& context, const SavePlan& plan,
                         const std::vector<EarlierSave>& earlier, bool complete) {
  const SaveRegistry registry(context.seams.state_dir);
  if (auto forgotten = registry.forget(plan.dump_id); !forgotten) return forgotten;
  std::string own;
  if (plan.keeps_journal) {
    const HeldFile journal = journal_beside(plan.target.files.front());
    own = journal.path();
    auto removed = journal.remove();
    if (!removed && removed.error().code() != ErrorCode::kNotFound) return removed;
    if (auto synced = journal.sync_directory(); !synced) return synced;
  }
  for (const EarlierSave& save : earlier) {
    // An earlier partial of the same target is now a part of the whole dump.
    if (own.empty() || !save.journal.path().starts_with(own)) {
      if (complete)
        context.reporter.info("no longer needed: " +
                              fmt::format("{}", fmt::join(save.content.files, ", ")));
      continue;
    }
    static_cast<void>(save.journal.remove());  // May be our own; gone already.
    if (save.content.published || !complete) continue;
    for (const HeldFile& file : save.files)
      static_cast<void>(file.remove());  // Renamed when it was continued in place.
  }
  return {};
}

}  // namespace hadump
