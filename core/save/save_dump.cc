// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>

#include "core/base/shortage.h"
#include "core/save/block_releaser.h"
#include "core/save/dump_lock.h"
#include "core/save/frame_ledger.h"
#include "core/save/give_back.h"
#include "core/save/save.h"
#include "core/save/save_plan.h"
#include "core/save/write_dump.h"

namespace hadump {
namespace {

using Reason = SaveFailure::Reason;

tl::unexpected<SaveFailure> failure(Error error, Reason reason = Reason::kError) {
  return tl::unexpected(SaveFailure{std::move(error), reason, {}});
}

/// The dump has its final name already; only memory is left to be given back.
tl::expected<WrittenDump, SaveFailure> take_published(const SaveContext& context,
                                                      const SavePlan& plan, FrameLedger& ledger) {
  const JournalContent& old = plan.own()->content;
  auto there = check_its_files(*plan.own());
  if (!there && is_shortage(there.error().os_errno())) return failure(std::move(there).error());
  if (!there)
    return failure({ErrorCode::kNotFound,
                    fmt::format("the dump was complete but is no longer there: {}; remove {} to "
                                "save what is still held",
                                there.error().what(), plan.own()->journal.path())});
  context.reporter.info(
      fmt::format("the dump is already complete: {}", fmt::join(old.files, ", ")));
  ledger.expect({}, {}, old.lost);
  WrittenDump dump;
  dump.summary.locations = old.files;
  dump.summary.missing = old.lost;
  dump.summary.complete = old.lost.empty();
  dump.earlier = plan.earlier;
  return dump;
}

Result<bool> give_back(const SaveContext& context, const SavePlan& plan, FrameLedger& ledger,
                       BlockReleaser& blocks, const WrittenDump& dump) {
  auto all_back = release_rest(blocks, *context.seams.releaser, ledger);
  if (!all_back || !*all_back) return all_back;
  if (auto removed = remove_journals(context, plan, dump.earlier, dump.summary.complete); !removed)
    context.reporter.warn(removed.error().what() + ", continuing");
  return true;
}

/// Whoever had the lock before may have finished the dump.
bool is_over(const SaveSeams& seams) {
  if (seams.releaser == nullptr) return false;
  const auto now = seams.releaser->regions();
  return !now && now.error().code() == ErrorCode::kNotFound;
}

/// Whether nothing is wrong but the target. A waiting dump's may be where others can write: what
/// they have put in its way, a file or a mounted file system, is no failure of the disk, for which
/// a boot script may be told to give the memory up. Who can tell which it is? So only a full disk
/// counts as one.
bool is_refusal(const Error& error, const SaveOptions& options) {
  if (error.code() == ErrorCode::kBadData) return true;
  return error.code() == ErrorCode::kOs && !is_shortage(error.os_errno()) && !options.vmcore_given;
}

/// All steps, with the lock held.
SaveResult save_alone(const SaveContext& context) {
  auto target = find_target(context);
  if (!target) {
    const bool refused = is_refusal(target.error(), context.options);
    return failure(std::move(target).error(), refused ? Reason::kTarget : Reason::kError);
  }
  auto plan = plan_save(context, std::move(*target));
  if (!plan) {
    const bool locked = plan.error().code() == ErrorCode::kBusy && !context.options.vmcore_given;
    return failure(std::move(plan).error(), locked                   ? Reason::kLocked
                                            : is_over(context.seams) ? Reason::kNoDump
                                                                     : Reason::kError);
  }

  if (!plan->target.is_stream()) context.reporter.located(paths_of(plan->target.files));
  FrameLedger ledger(plan->regions);
  std::optional<BlockReleaser> blocks;
  if (plan->may_release)
    blocks.emplace(*context.seams.releaser, ledger, context.seams.block_bytes,
                   [&](const std::string& text) { context.reporter.warn(text + ", continuing"); });
  // To look through a large guest's pages takes minutes, and should it crash meanwhile, the host is
  // to know that its window was good for a save: docs/abi/xenstore.md.
  if (context.seams.releaser != nullptr)
    static_cast<void>(context.seams.releaser->report_progress("saving   0%"));
  auto dump = plan->is_published()
                  ? take_published(context, *plan, ledger)
                  : write_dump(context, *plan, ledger, blocks ? &*blocks : nullptr);
  if (!dump) return tl::unexpected(std::move(dump).error());

  // Source, filter and writer are gone here: nobody reads the old memory any more. Only what could
  // not be read is unsafe now, and the user may give that up.
  if (context.options.release_lost) ledger.give_up_lost();
  SaveOutcome outcome;
  outcome.summary = dump->summary;
  outcome.released_now = plan->is_published();
  outcome.kept_unknown = dump->kept_unknown;
  outcome.bytes_kept_lost = ledger.lost().bytes();
  if (blocks) {
    auto all_back = give_back(context, *plan, ledger, *blocks, *dump);
    if (!all_back) context.reporter.warn(all_back.error().what() + ", continuing");
    outcome.all_back = all_back && *all_back;
  }
  outcome.bytes_released = ledger.bytes_released();
  context.reporter.finished({outcome.summary.progress, outcome.bytes_released,
                             blocks ? ledger.held().bytes() : 0, outcome.kept_unknown, "done"});
  return outcome;
}

}  // namespace

SaveResult save_dump(const SaveOptions& options, const SaveSeams& world, SaveReporter& reporter) {
  SaveSeams seams = world;
  if (options.vmcore_given) {
    // Of the waiting dump nothing is saved, released or told to the host.
    seams.releaser = nullptr;
    seams.dump.reset();
  }
  if (!seams.dump && !options.vmcore_given)
    return failure({ErrorCode::kNotFound, "no dump waits"}, Reason::kNoDump);
  const SaveContext context{options, seams, reporter};
  const bool releases = seams.releaser != nullptr && options.release;
  const auto lock = lock_dump(seams, fmt::format("{}", fmt::join(options.to, ", ")), options.wait,
                              releases, reporter);
  if (!lock) return tl::unexpected(lock.error());
  return save_alone(context);
}

}  // namespace hadump
