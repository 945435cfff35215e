// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/give_back.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/file.h"
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
  const std::string own = journal_path(plan.target.files.front());
  if (plan.keeps_journal) {
    if (::unlink(own.c_str()) != 0 && errno != ENOENT) return fail_os(errno, "removing " + own);
    if (auto synced = sync_directory_of(own); !synced) return synced;
  }
  for (const EarlierSave& save : earlier) {
    // An earlier partial of the same target is now a part of the whole dump.
    if (!save.journal.starts_with(own)) {
      if (complete)
        context.reporter.info("no longer needed: " +
                              fmt::format("{}", fmt::join(save.content.files, ", ")));
      continue;
    }
    static_cast<void>(::unlink(save.journal.c_str()));  // May be our own; gone already.
    if (save.content.published || !complete) continue;
    for (const std::string& file : save.content.files)
      static_cast<void>(::unlink(file.c_str()));  // Renamed when it was continued in place.
  }
  return {};
}

}  // namespace hadump
