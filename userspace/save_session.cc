#include "userspace/save_session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/dump/flattened_sink.h"
#include "userspace/acked_sink.h"

namespace hadump {
namespace {

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// A dump that nothing waits with still needs a name.
constexpr const char* kNoDumpId = "00000000000000000000000000000000";

const char* name_of(OutputFormat format) {
  switch (format) {
    case OutputFormat::kElf:
      return "elf";
    case OutputFormat::kKdump:
      return "kdump";
    case OutputFormat::kFlattened:
      break;
  }
  return "flattened";
}

}  // namespace

SaveSession::SaveSession(const SaveOptions& options, const SaveSeams& seams, Streams io)
    : options_(options),
      seams_(seams),
      dump_id_(seams.dump ? seams.dump->dump_id : kNoDumpId),
      progress_(options.progress, io.err, io.err_is_terminal, seams.clock,
                [releaser = seams.releaser](const std::string& line) {
                  // For the host's display only; the save does not depend on it.
                  if (releaser != nullptr) static_cast<void>(releaser->report_progress(line));
                }) {}

bool SaveSession::may_release() const {
  const bool acknowledged = !target_.is_stream() || options_.ack_fd >= 0;
  return seams_.releaser != nullptr && options_.release && acknowledged && !options_.vmcore_given;
}

// A stream cannot be continued, and a file that is copied can be copied again.
bool SaveSession::keeps_journal() const {
  return seams_.dump && !target_.is_stream() && !options_.vmcore_given;
}

std::string SaveSession::settings() const {
  return fmt::format("format={} codec={}:{} levels={}", name_of(options_.format),
                     to_string(options_.codec.kind), options_.codec.level,
                     fmt::join(options_.levels, ","));
}

void SaveSession::show(const DumpProgress& dump, std::string_view phase) {
  SaveProgress now{dump, 0, 0, phase};
  if (blocks_) {
    now.bytes_released = blocks_->released_bytes();
    now.bytes_held = blocks_->held().bytes();
  }
  if (phase == "saving")
    progress_.update(now);
  else
    progress_.finish(now);
}

// What waits, where it goes, and what earlier saves have left.
Result<> SaveSession::look_around() {
  const DumpName name{seams_.host, seams_.dump ? seams_.dump->crash_time : 0, dump_id_};
  auto target = resolve_target(options_.to, name);
  if (!target) return fail(std::move(target));
  target_ = std::move(*target);

  if (seams_.releaser != nullptr && !options_.vmcore_given) {
    auto regions = seams_.releaser->regions();
    if (!regions) return fail(std::move(regions), "reading what is held");
    regions_ = std::move(*regions);
  }
  if (keeps_journal()) {
    auto own = read_earlier_saves(journal_path(target_.files.front()), dump_id_);
    if (!own) return fail(std::move(own));
    earlier_ = std::move(*own);
    own_journal_ = !earlier_.empty();
  }
  for (const std::string& with : options_.with) {
    auto more = read_earlier_saves(journal_of(with), dump_id_);
    if (!more) return fail(std::move(more));
    if (more->empty())
      return fail(ErrorCode::kNotFound,
                  fmt::format("{} has no journal, {}", with, journal_of(with)));
    earlier_.insert(earlier_.end(), more->begin(), more->end());
  }
  if (may_release())
    blocks_ = std::make_unique<BlockReleaser>(
        *seams_.releaser, regions_.in_state(RegionState::kHeld), seams_.block_bytes,
        [this](const std::string& text) { seams_.log.warn("{}, continuing", text); });
  return {};
}

Result<std::unique_ptr<VmcoreSource>> SaveSession::open_source() {
  auto current = seams_.open_vmcore(options_.vmcore);
  if (!current) return fail(std::move(current));
  // What is released, or asked to be, is no longer what it was.
  FrameSet held = (*current)->layout().frames;
  held.erase(regions_.in_state(RegionState::kReleased));
  held.erase(regions_.in_state(RegionState::kPartial));
  frames_ = held;
  if (earlier_.empty() && held == (*current)->layout().frames) return current;
  // All that the first of them was to hold: the dump's extent at the crash.
  for (const EarlierSave& save : earlier_) frames_.insert(save.content.frames);
  return merge_with_earlier(std::move(*current), std::move(held), earlier_, seams_.open_vmcore);
}

void SaveSession::save_kernel_log(const VmcoreSource& source) {
  if (target_.log_file.empty()) return;
  const auto text = crashed_kernel_log(source);
  if (!text) {
    seams_.log.warn("the crashed kernel's log: {}, continuing", text.error().what());
    return;
  }
  if (auto done = write_file_atomically(target_.log_file, *text, 0600); !done)
    seams_.log.warn("{}, continuing", done.error().what());
  else
    seams_.log.info("the crashed kernel's log is in {}", target_.log_file);
}

DumpOptions SaveSession::dump_options() {
  DumpOptions dump;
  dump.format =
      options_.format == OutputFormat::kElf ? DumpFormatKind::kElf : DumpFormatKind::kKdump;
  dump.codec = options_.codec;
  dump.workers = options_.threads;
  dump.dump_level = options_.levels.front();
  dump.on_progress = [this](const DumpProgress& now) { show(now, "saving"); };
  dump.cancelled = seams_.cancelled;
  return dump;
}

bool SaveSession::can_adopt() const {
  if (!own_journal_) return false;
  const JournalContent& old = earlier_.front().content;
  return old.settings == settings() && old.files.size() == target_.files.size() &&
         !old.durable.empty() && std::all_of(old.files.begin(), old.files.end(), exists);
}

Result<std::vector<std::unique_ptr<DumpSink>>> SaveSession::open_sinks(bool adopt) {
  std::vector<std::unique_ptr<DumpSink>> sinks;
  adopting_.clear();
  partial_files_.clear();
  if (target_.is_stream()) {
    auto sink = open_flattened_sink(UniqueFd(::dup(STDOUT_FILENO)), "standard output");
    if (!sink) return fail(std::move(sink));
    sinks.push_back(std::move(*sink));
    if (options_.ack_fd >= 0)
      sinks.back() = std::make_unique<AckedSink>(
          std::move(sinks.back()), UniqueFd(::dup(options_.ack_fd)), seams_.cancelled);
    return sinks;
  }
  for (std::size_t i = 0; i < target_.files.size(); ++i) {
    const std::string partial = adopt ? earlier_.front().content.files[i] : std::string();
    auto sink = seams_.open_sink(target_.files[i], partial);
    if (!sink) return fail(std::move(sink));
    if (adopt) {
      auto adopting = AdoptingSink::open(std::move(*sink), partial);
      if (!adopting) return fail(std::move(adopting));
      adopting_.push_back(adopting->get());
      *sink = std::move(*adopting);
    }
    partial_files_.push_back((*sink)->location());
    sinks.push_back(std::move(*sink));
  }
  return sinks;
}

Result<> SaveSession::start_journal(bool adopt) {
  if (!keeps_journal()) return {};
  const std::string path = journal_path(target_.files.front());
  auto started = [&]() -> Result<Journal> {
    if (adopt) return Journal::reopen(path, earlier_.front().content);
    JournalContent start{dump_id_, settings(), partial_files_, target_.files, frames_, {},
                         {},       {},         false};
    for (EarlierSave& save : earlier_) {
      // The old journal makes room, by a copy, so that there is no moment without either: its
      // files are the only copy of what it lists.
      if (save.journal == path) {
        save.journal = fmt::format("{}.{}", path, earlier_.size());
        if (auto copied = Journal::create(save.journal, save.content); !copied)
          return fail(std::move(copied));
      }
      start.with.push_back(save.journal);
    }
    return Journal::create(path, start);
  }();
  if (!started) return fail(std::move(started));
  journal_ = std::make_unique<Journal>(std::move(*started));
  return {};
}

// Makes the writer produce what the partial files hold already.
Result<> SaveSession::pass_adopted(DumpWriter& writer) {
  const FrameSet& durable = earlier_.front().content.durable;
  for (;;) {
    const FrameSet portion = writer.next_portion(options_.portion_bytes).intersection(durable);
    if (portion.empty()) break;
    if (auto done = writer.write_portion(portion); !done) return done;
    if (auto done = writer.make_durable(); !done) return done;
  }
  for (AdoptingSink* sink : adopting_)
    if (auto done = sink->commit(); !done) return done;
  return {};
}

Result<SaveOutcome> SaveSession::write_dump(const VmcoreSource& source, const PageFilter* filter,
                                            const FrameSet& needed_later, bool adopt) {
  auto sinks = open_sinks(adopt);
  if (!sinks) return fail(std::move(sinks));
  auto writer = DumpWriter::create(source, filter, frames_, dump_options(), std::move(*sinks));
  if (!writer) return fail(std::move(writer));
  if (adopt)
    if (auto passed = pass_adopted(**writer); !passed) return fail(std::move(passed));
  if (auto started = start_journal(adopt); !started) return fail(std::move(started));

  FrameSet unsaved = frames_;
  if (adopt) unsaved.erase(earlier_.front().content.durable);
  Saver saver(**writer, journal_.get(), blocks_.get(), unsaved, needed_later,
              {options_.portion_bytes,
               {options_.levels.begin() + 1, options_.levels.end()},
               adopt ? earlier_.front().content.lost : FrameSet()});
  // From here on memory is given back.
  if (auto saved = saver.save_portions(); !saved) return fail(std::move(saved));
  auto summary = (*writer)->finish();
  if (!summary) return fail(std::move(summary), "completing the dump");
  partial_files_.clear();
  if (journal_)
    if (auto noted = journal_->set_published(); !noted) return fail(std::move(noted));
  return SaveOutcome{std::move(*summary), 0, false, false};
}

Result<SaveOutcome> SaveSession::save_from(const VmcoreSource& source, const PageFilter* filter,
                                           const FrameSet& needed_later) {
  if (can_adopt()) {
    seams_.log.info("continuing {}", fmt::join(earlier_.front().content.files, ", "));
    auto outcome = write_dump(source, filter, needed_later, true);
    const bool began = journal_ != nullptr;
    if (outcome || began || outcome.error().code() != ErrorCode::kBadData) return outcome;
    seams_.log.warn("cannot continue it in place: {}; writing it anew", outcome.error().what());
  }
  return write_dump(source, filter, needed_later, false);
}

Result<SaveOutcome> SaveSession::save_all() {
  auto source = open_source();
  if (!source) return fail(std::move(source));
  save_kernel_log(**source);
  OpenedFilter opened;
  constexpr unsigned kNeedsClasses = kMaxDumpLevel & ~kLevelZero;
  const bool wanted = std::any_of(options_.levels.begin(), options_.levels.end(),
                                  [](unsigned level) { return (level & kNeedsClasses) != 0; });
  if (wanted) {
    auto filter = open_filter(**source);
    if (filter)
      opened = std::move(*filter);
    else
      seams_.log.warn("{}; every page is kept, continuing", filter.error().what());
  }
  return save_from(**source, opened.filter.get(), opened.needed_later);
}

// Source, filter and writer are gone here: nobody reads the old memory any more.
Result<> SaveSession::release_all(SaveOutcome& outcome, const FrameSet& unsafe) {
  if (!may_release()) return {};
  auto all_back = release_rest(*blocks_, *seams_.releaser, unsafe);
  outcome.bytes_released = blocks_->released_bytes();
  if (!all_back) return fail(std::move(all_back));
  outcome.all_back = *all_back;
  return outcome.all_back ? remove_journals(outcome) : Result<>();
}

Result<> SaveSession::remove_journals(const SaveOutcome& outcome) {
  if (journal_)
    if (auto removed = journal_->remove(); !removed) return removed;
  for (const EarlierSave& save : earlier_) {
    // An earlier partial of the same target is now a part of the whole dump.
    const bool ours = save.journal.starts_with(journal_path(target_.files.front()));
    if (!ours) continue;
    static_cast<void>(::unlink(save.journal.c_str()));  // May be journal_'s own; gone already.
    if (save.content.published || !outcome.summary.complete) continue;
    for (const std::string& file : save.content.files)
      static_cast<void>(::unlink(file.c_str()));  // Renamed when it was continued in place.
  }
  return {};
}

Result<SaveOutcome> SaveSession::run() {
  if (auto looked = look_around(); !looked) return fail(std::move(looked));
  SaveOutcome outcome;
  FrameSet unsafe;
  if (own_journal_ && earlier_.front().content.published) {
    const JournalContent& old = earlier_.front().content;
    for (const std::string& file : old.files)
      if (!exists(file))
        return fail(ErrorCode::kNotFound,
                    file + " was complete, but is not there any more; remove " +
                        earlier_.front().journal + " to save what is still held");
    seams_.log.info("the dump is complete already: {}", fmt::join(old.files, ", "));
    outcome.released_now = true;
    outcome.summary.locations = old.files;
    outcome.summary.missing = old.lost;
    outcome.summary.complete = old.lost.empty();
  } else {
    auto saved = save_all();
    if (!saved) return saved;
    outcome = std::move(*saved);
  }
  // Only what could not be read is unsafe now, and the user may give that up.
  if (!options_.release_lost) unsafe = outcome.summary.missing;
  if (auto done = release_all(outcome, unsafe); !done)
    seams_.log.warn("{}, continuing", done.error().what());
  show(outcome.summary.progress, "done");
  return outcome;
}

}  // namespace hadump
