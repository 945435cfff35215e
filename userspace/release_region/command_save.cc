// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_save.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>

#include "core/base/text.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/release_region/save_session.h"

namespace hadump {
namespace {

// Says what became of it, and what to do next.
void report_failure(const Error& error, const SaveSession& session, const SaveSeams& seams) {
  seams.log.error("{}",
                  error.code() == ErrorCode::kCancelled ? "stopped by a signal" : error.what());
  if (session.lacks_earlier()) {
    seams.log.error(
        "nothing was changed. What to do next: make the location of the earlier save accessible "
        "(is it mounted?) and run the same command again, name its file with --with FILE, or save "
        "the rest as an incomplete dump with --without-earlier");
    return;
  }
  const bool in_the_way = error.os_errno() == EEXIST;
  const auto& partial = session.partial_files();
  if (partial.empty() && in_the_way)
    seams.log.error("What to do next: choose another file, or move this one away");
  if (partial.empty()) return;
  seams.log.error("the incomplete dump is readable: {}", fmt::join(partial, ", "));
  if (!seams.dump) return;
  if (error.code() == ErrorCode::kNoSpace)
    seams.log.error(
        "nothing unsaved was released. What to do next: make room and run the same command again, "
        "or save elsewhere with --to OTHER, and keep {} until that is finished",
        fmt::join(partial, ", "));
  else
    seams.log.error("nothing unsaved was released. What to do next: {}run the same command again",
                    in_the_way ? "move it away and " : "");
}

// At a level that leaves classes out, a page that is kept for want of knowledge costs room.
void warn_of_unknown(const SaveOutcome& outcome, const SaveOptions& options,
                     const SaveSeams& seams) {
  const bool filtered = std::any_of(options.levels.begin(), options.levels.end(),
                                    [](unsigned level) { return (level & ~kLevelZero) != 0; });
  const std::uint64_t frames = outcome.kept_unknown + outcome.summary.progress.frames_unclassified;
  if (filtered && frames != 0)
    seams.log.warn("{} of memory was kept because its use is unknown",
                   format_size(frames << kFrameShift));
}

int report_success(const SaveOutcome& outcome, const SaveOptions& options, const SaveSeams& seams) {
  const DumpSummary& summary = outcome.summary;
  if (!outcome.released_now)
    seams.log.info("the dump is in {}: {} of memory, {} written in {:.1f} s",
                   fmt::join(summary.locations, ", "),
                   format_size(summary.progress.frames_total << kFrameShift),
                   format_size(summary.progress.bytes_written),
                   std::chrono::duration<double>(summary.progress.elapsed).count());
  warn_of_unknown(outcome, options, seams);
  const bool wanted_back = options.release && seams.releaser != nullptr;
  if (wanted_back)
    seams.log.info("{} given back in this run; {}", format_size(outcome.bytes_released),
                   outcome.all_back ? "all memory is back" : "some memory is still held");
  if (!summary.complete && summary.missing.empty()) {
    seams.log.warn("the source is an incomplete dump, and so is this one");
    return kExitIncomplete;
  }
  if (!summary.complete) {
    seams.log.warn("{} of memory could not be read and is marked as lost in the dump{}",
                   format_size(summary.missing.bytes()),
                   outcome.bytes_kept_lost == 0 || !wanted_back
                       ? ""
                       : "; it stays held. What to do next: run the same command with "
                         "--release-lost to discard it");
    return kExitIncomplete;
  }
  return wanted_back && !outcome.all_back ? kExitHeld : kExitOk;
}

}  // namespace

int run_save(const SaveOptions& options, const SaveSeams& world, Streams io) {
  SaveSeams seams = world;
  if (options.vmcore_given) {
    // Of the waiting dump nothing is saved, released or told to the host.
    seams.releaser = nullptr;
    seams.dump.reset();
  }
  if (!seams.dump && !options.vmcore_given) {
    seams.log.info("no dump waits: nothing to do");
    return kExitNothing;
  }
  SaveSession session(options, seams, io);
  auto outcome = session.run();
  if (!outcome) {
    report_failure(outcome.error(), session, seams);
    return session.lacks_earlier() ? kExitEarlier : exit_code_of(outcome.error());
  }
  return report_success(*outcome, options, seams);
}

}  // namespace hadump
