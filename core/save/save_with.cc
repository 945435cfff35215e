// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/save_with.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "core/base/text.h"
#include "core/base/trusted_path.h"
#include "core/save/dump_lock.h"
#include "core/save/give_back.h"
#include "core/save/mounted_disks.h"
#include "core/save/program_places.h"
#include "core/save/save_registry.h"
#include "core/save/target.h"

namespace hadump {
namespace {

using WithReason = SaveWithFailure::Reason;
constexpr std::uint64_t kMaxNote = 64_KiB;

tl::unexpected<SaveWithFailure> with_failure(Error error, WithReason reason = WithReason::kError) {
  return tl::unexpected(SaveWithFailure{std::move(error), reason});
}

/// "The program has saved all of it": there from before the first release until the last.
class SavedNote {
 public:
  explicit SavedNote(const SaveSeams& seams)
      : path_(seams.state_dir.empty() ? ""
                                      : seams.state_dir + "/" + seams.dump->dump_id + ".saved") {}

  Result<bool> exists() const {
    if (path_.empty()) return false;
    auto text = read_trusted_text_file(path_, kMaxNote);
    if (text) return true;
    if (text.error().code() == ErrorCode::kNotFound) return false;
    return fail(std::move(text));
  }
  Result<> write(std::string_view text) const {
    if (path_.empty()) return {};
    auto file = hold_in_own_directory(path_);
    return file ? file->replace(text, 0600) : fail(std::move(file));
  }
  Result<> remove() const {
    if (path_.empty()) return {};
    auto removed = hold_trusted(path_).and_then([](const HeldFile& file) { return file.remove(); });
    if (!removed && removed.error().code() != ErrorCode::kNotFound) return removed;
    return {};
  }

 private:
  std::string path_;
};

tl::expected<RegionTable, SaveWithFailure> look_at(RegionReleaser& releaser) {
  auto table = releaser.regions();
  if (table) return std::move(*table);
  const bool over = table.error().code() == ErrorCode::kNotFound;
  return with_failure(std::move(table).error(), over ? WithReason::kNoDump : WithReason::kError);
}

std::uint64_t bytes_gone(const RegionTable& table) {
  return table.bytes_in_state(RegionState::kReleased) + table.bytes_in_state(RegionState::kPartial);
}

tl::expected<void, SaveWithFailure> judge(const SaveWithOptions& options, const ProgramEnd& end,
                                          bool cancelled) {
  const std::string& program = options.words.front();
  if (cancelled) return with_failure({ErrorCode::kCancelled, program}, WithReason::kStopped);
  if (end.signal != 0)
    return with_failure(
        {ErrorCode::kCancelled, fmt::format("{} was ended by signal {} ({})", program, end.signal,
                                            ::strsignal(end.signal))},
        WithReason::kStopped);
  if (end.status != 0)
    return with_failure(
        {ErrorCode::kOs, fmt::format("{} failed with exit status {}", program, end.status)},
        WithReason::kProgram);
  return {};
}

/// What was held before it ran is held now, and so is the save area: it has read nothing else.
tl::expected<void, SaveWithFailure> check_untouched(const RegionTable& before,
                                                    RegionReleaser& releaser) {
  const auto now = releaser.regions();
  if (!now && now.error().code() != ErrorCode::kNotFound) return with_failure(now.error());
  FrameSet lost = before.in_state(RegionState::kHeld);
  lost.insert(before.in_state(RegionState::kSaveArea));
  if (now) {
    lost.erase(now->in_state(RegionState::kHeld));
    lost.erase(now->in_state(RegionState::kSaveArea));
  }
  if (lost.empty()) return {};
  return with_failure({ErrorCode::kIncomplete,
                       fmt::format("{} of memory was released by somebody else while the program "
                                   "read it: what it has written may lack that",
                                   format_size(lost.bytes()))},
                      WithReason::kTaken);
}

/// The program's part, up to what is durable.
tl::expected<void, SaveWithFailure> have_saved(const SaveWithOptions& options,
                                               const SaveSeams& seams, const RunProgram& run,
                                               const RegionTable& before,
                                               const std::vector<int>& lock_fds,
                                               SaveReporter& reporter) {
  if (bytes_gone(before) != 0)
    return with_failure({ErrorCode::kNotFound,
                         format_size(bytes_gone(before)) +
                             " of this dump's memory was released before, and no other program can "
                             "read it"},
                        WithReason::kLacksEarlier);
  if (auto checked = check_save_with(options, seams); !checked)
    return with_failure(std::move(checked).error(), WithReason::kTarget);
  if (options.into.empty() && !options.volatile_target && places_in(options.words).empty())
    reporter.warn(
        fmt::format("it is not known where {} writes, nor whether that outlasts the next "
                    "boot; --into DIR says it, continuing",
                    options.words.front()));
  const auto disks = MountedDisks::open(*seams.file_systems, options.into);
  if (!disks) return with_failure(disks.error());
  // For the host's display only.
  static_cast<void>(seams.releaser->report_progress(
      fmt::format("another program saves: {}", options.words.front()).substr(0, 200)));
  const auto end = run({options.words, lock_fds, seams.cancelled});
  if (!end) return with_failure(end.error(), WithReason::kNoProgram);
  if (auto judged = judge(options, *end, seams.cancelled && seams.cancelled()); !judged)
    return judged;
  if (auto untouched = check_untouched(before, *seams.releaser); !untouched) return untouched;
  if (auto synced = disks->sync(); !synced) return with_failure(std::move(synced).error());
  return {};
}

SaveWithOutcome give_all_back(const SaveSeams& seams, const RegionTable& now, const SavedNote& note,
                              SaveReporter& reporter) {
  FrameLedger ledger(now);  // Expects nothing more: all of it is saved.
  BlockReleaser blocks(*seams.releaser, ledger, seams.block_bytes,
                       [&](const std::string& text) { reporter.warn(text + ", continuing"); });
  const auto all_back = release_rest(blocks, *seams.releaser, ledger);
  if (!all_back) reporter.warn(all_back.error().what() + ", continuing");
  SaveWithOutcome outcome;
  outcome.bytes_released = ledger.bytes_released();
  outcome.all_back = all_back && *all_back;
  if (!outcome.all_back) return outcome;
  if (auto removed = note.remove(); !removed)
    reporter.warn(removed.error().what() + ", continuing");
  if (auto forgotten = SaveRegistry(seams.state_dir).forget(seams.dump->dump_id); !forgotten)
    reporter.warn(forgotten.error().what() + ", continuing");
  return outcome;
}

/// Where nobody says which of its arguments it writes to, it may be any of them.
Result<> check_places(const SaveWithOptions& options, const SaveSeams& seams) {
  for (const std::string& place : places_in(options.words))
    if (auto lasting = check_lasting_place(place, *seams.file_systems); !lasting)
      return fail(ErrorCode::kBadData,
                  fmt::format("refusing to release memory for a dump in {}: {}; if it is written "
                              "elsewhere, --into DIR says where",
                              place, lasting.error().what()));
  return {};
}

}  // namespace

Result<> check_save_with(const SaveWithOptions& options, const SaveSeams& seams) {
  const std::string& program = options.words.front();
  std::error_code ignored;
  if (!program.starts_with('/') || !std::filesystem::is_regular_file(program, ignored) ||
      ::access(program.c_str(), X_OK) != 0)
    return fail(ErrorCode::kBadData, "'" + program + "' is not the absolute path of a program");
  if (auto trusted = check_trusted_program(program); !trusted)
    return fail(std::move(trusted), "refusing to run " + program);
  if (options.into.empty())
    return options.volatile_target ? Result<>() : check_places(options, seams);
  if (!options.into.starts_with('/'))
    return fail(ErrorCode::kBadData, "'" + options.into + "' is not an absolute path");
  return check_target({options.into + "/"}, {true, !options.volatile_target, seams.file_systems});
}

SaveWithResult save_with(const SaveWithOptions& options, const SaveSeams& seams,
                         const RunProgram& run, SaveReporter& reporter) {
  const auto lock = lock_dump(seams, options.words.front(), options.wait, true, reporter);
  if (!lock) {
    const bool locked = lock.error().reason == SaveFailure::Reason::kLocked;
    const bool stopped = lock.error().error.code() == ErrorCode::kCancelled;
    return with_failure(lock.error().error, locked    ? WithReason::kLocked
                                            : stopped ? WithReason::kStopped
                                                      : WithReason::kError);
  }
  auto before = look_at(*seams.releaser);
  if (!before) return tl::unexpected(std::move(before).error());
  const SavedNote note(seams);
  const auto noted = note.exists();
  if (!noted) return with_failure(noted.error());
  if (!*noted) {
    auto saved = have_saved(options, seams, run, *before, lock->fds(), reporter);
    if (!saved) return tl::unexpected(std::move(saved).error());
    if (auto written = note.write(fmt::format("{}\n", fmt::join(options.words, " "))); !written)
      reporter.warn("a save that is killed from here on cannot be continued: " +
                    written.error().what() + ", continuing");
  }
  SaveWithOutcome outcome = give_all_back(seams, *before, note, reporter);
  outcome.released_now = *noted;
  return outcome;
}

}  // namespace hadump
