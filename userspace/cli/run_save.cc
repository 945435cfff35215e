// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/cli/run_save.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "core/base/file.h"
#include "core/base/text.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/cli/progress_reporter.h"

namespace hadump {
namespace {

class ConsoleReporter : public SaveReporter {
 public:
  /// @param releaser  borrowed; null when the host is not to be told.
  ConsoleReporter(const SaveCommandLine& command, const SaveConsole& console,
                  RegionReleaser* releaser)
      : log_(console.log),
        location_fd_(command.location_fd),
        progress_(command.progress, console.io.err, console.io.err_is_terminal, console.clock,
                  [releaser](const std::string& line) {
                    // For the host's display only; the save does not depend on it.
                    if (releaser != nullptr) static_cast<void>(releaser->report_progress(line));
                  }) {}

  void info(const std::string& text) override { log_.info("{}", text); }
  void warn(const std::string& text) override { log_.warn("{}", text); }
  void located(const std::vector<std::string>& files) override {
    if (location_fd_ < 0) return;
    const std::string lines = fmt::format("{}\n", fmt::join(files, "\n"));
    if (auto told = write_all(location_fd_, std::as_bytes(std::span(lines)), "--location-fd");
        !told)
      log_.warn("{}, continuing", told.error().what());
  }
  void progress(const SaveProgress& now) override { progress_.update(now); }
  void finished(const SaveProgress& end) override { progress_.finish(end); }

 private:
  spdlog::logger& log_;
  int location_fd_;
  ProgressReporter progress_;
};

// Says what became of it, and what to do next.
void report_failure(const SaveFailure& failure, const SaveOptions& options, bool dump_waits,
                    spdlog::logger& log) {
  const Error& error = failure.error;
  log.error("{}", error.code() == ErrorCode::kCancelled ? "stopped by a signal" : error.what());
  if (failure.reason == SaveFailure::Reason::kLocked) {
    log.error(
        "nothing was changed. What to do next: leave it to that save, or wait for its end with "
        "--wait");
    return;
  }
  if (failure.reason == SaveFailure::Reason::kTarget && options.vmcore_given) return;
  if (failure.reason == SaveFailure::Reason::kTarget) {
    log.error(
        "nothing was changed. What to do next: save to a directory on a disk that only root can "
        "change; --no-release saves to any file system and keeps the memory, --volatile-target "
        "releases it all the same");
    return;
  }
  if (failure.reason == SaveFailure::Reason::kLacksEarlier) {
    log.error(
        "nothing was changed. What to do next: make the location of the earlier save accessible "
        "(is it mounted?) and run the same command again, name its file with --with FILE, or save "
        "the rest as an incomplete dump with --without-earlier");
    return;
  }
  const bool in_the_way = error.os_errno() == EEXIST;
  const auto& partial = failure.partial_files;
  if (partial.empty() && in_the_way)
    log.error("What to do next: choose another file, {}",
              options.vmcore_given ? "or replace this one with --force" : "or move this one away");
  if (partial.empty() && error.code() == ErrorCode::kNoSpace)
    log.error(
        "nothing was changed. What to do next: make room and run the same command again, or "
        "choose another file system");
  if (partial.empty()) return;
  log.error("the incomplete dump is readable: {}", fmt::join(partial, ", "));
  if (!dump_waits) {
    // Each attempt begins anew.
    if (error.code() == ErrorCode::kNoSpace)
      log.error("What to do next: remove it, make room and run the same command again");
    return;
  }
  if (error.code() == ErrorCode::kNoSpace)
    log.error(
        "nothing unsaved was released. What to do next: make room and run the same command again, "
        "or save elsewhere with --to OTHER, and keep {} until that is finished",
        fmt::join(partial, ", "));
  else
    log.error("nothing unsaved was released. What to do next: {}run the same command again",
              in_the_way ? "move it away and " : "");
}

// At a level that leaves classes out, a page that is kept for want of knowledge costs room.
void warn_of_unknown(const SaveOutcome& outcome, const SaveOptions& options, spdlog::logger& log) {
  const bool filtered = std::any_of(options.levels.begin(), options.levels.end(),
                                    [](unsigned level) { return (level & ~kLevelZero) != 0; });
  const std::uint64_t frames = outcome.kept_unknown + outcome.summary.progress.frames_unclassified;
  if (filtered && frames != 0)
    log.warn("{} of memory was kept because its use is unknown",
             format_size(frames << kFrameShift));
}

/// @param wanted_back  memory was to be released.
int report_success(const SaveOutcome& outcome, const SaveOptions& options, bool wanted_back,
                   spdlog::logger& log) {
  const DumpSummary& summary = outcome.summary;
  if (!outcome.released_now)
    log.info("the dump is in {}: {} of memory, {} written in {:.1f} s",
             fmt::join(summary.locations, ", "),
             format_size(summary.progress.frames_total << kFrameShift),
             format_size(summary.progress.bytes_written),
             std::chrono::duration<double>(summary.progress.elapsed).count());
  warn_of_unknown(outcome, options, log);
  if (wanted_back)
    log.info("{} given back in this run; {}", format_size(outcome.bytes_released),
             outcome.all_back ? "all memory is back" : "some memory is still held");
  if (!summary.complete && summary.missing.empty()) {
    log.warn("the source is an incomplete dump, and so is this one");
    return kExitIncomplete;
  }
  if (!summary.complete) {
    log.warn("{} of memory could not be read and is marked as lost in the dump{}",
             format_size(summary.missing.bytes()),
             outcome.bytes_kept_lost == 0 || !wanted_back
                 ? ""
                 : "; it stays held. What to do next: run the same command with "
                   "--release-lost to discard it");
    return kExitIncomplete;
  }
  return wanted_back && !outcome.all_back ? kExitHeld : kExitOk;
}

int exit_code_of(const SaveFailure& failure) {
  switch (failure.reason) {
    case SaveFailure::Reason::kNoDump:
      return kExitNothing;
    case SaveFailure::Reason::kLacksEarlier:
      return kExitEarlier;
    case SaveFailure::Reason::kTarget:
      return kExitUsage;
    case SaveFailure::Reason::kLocked:
      return kExitLocked;
    case SaveFailure::Reason::kFormat:
      return kExitFormat;
    case SaveFailure::Reason::kError:
      break;
  }
  return exit_code_of(failure.error);
}

}  // namespace

int run_save(const SaveCommandLine& command, const SaveSeams& seams, const SaveConsole& console) {
  const SaveOptions& options = command.save;
  // Of a save of a file the host is not told.
  RegionReleaser* const releaser = options.vmcore_given ? nullptr : seams.releaser;
  ConsoleReporter reporter(command, console, releaser);
  const auto outcome = save_dump(options, seams, reporter);
  if (outcome)
    return report_success(*outcome, options, options.release && releaser != nullptr, console.log);
  if (outcome.error().reason == SaveFailure::Reason::kNoDump)
    console.log.info("no dump waits: nothing to do");
  else
    report_failure(outcome.error(), options, seams.dump && !options.vmcore_given, console.log);
  return exit_code_of(outcome.error());
}

}  // namespace hadump
