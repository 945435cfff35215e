// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/save_session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/dump/flattened_sink.h"
#include "core/save/acked_sink.h"

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
      registry_(seams.state_dir),
      dump_id_(seams.dump ? seams.dump->dump_id : kNoDumpId),
      progress_(options.progress, io.err, io.err_is_terminal, seams.clock,
                [releaser = seams.releaser](const std::string& line) {
                  // For the host's display only; the save does not depend on it.
                  if (releaser != nullptr) static_cast<void>(releaser->report_progress(line));
                }) {}

bool SaveSession::may_release() const {
  const bool acknowledged = !target_.is_stream() || options_.ack_fd >= 0;
  return seams_.releaser != nullptr && options_.release && acknowledged;
}

// A stream cannot be continued, and a file that is copied can be copied again.
bool SaveSession::keeps_journal() const {
  return seams_.dump && !target_.is_stream();
}

std::string SaveSession::settings() const {
  return fmt::format("format={} codec={}:{} levels={}", name_of(options_.format),
                     to_string(options_.codec.kind), options_.codec.level,
                     fmt::join(options_.levels, ","));
}

void SaveSession::show(const DumpProgress& dump) {
  SaveProgress now{dump, 0, 0, kept_unknown_ ? kept_unknown_() : 0, "saving"};
  if (blocks_) {
    now.bytes_released = blocks_->released_bytes();
    now.bytes_held = blocks_->held().bytes();
  }
  progress_.update(now);
}

// What waits, where it goes, and what earlier saves have left.
Result<> SaveSession::look_around() {
  const DumpName name{seams_.host, seams_.dump ? seams_.dump->crash_time : 0, dump_id_};
  auto target = resolve_target(options_.to, name);
  if (!target) return fail(std::move(target));
  target_ = std::move(*target);

  if (seams_.releaser != nullptr) {
    auto regions = seams_.releaser->regions();
    if (!regions) return fail(std::move(regions), "reading what is held");
    regions_ = std::move(*regions);
    released_ = regions_.in_state(RegionState::kReleased);
    released_.insert(regions_.in_state(RegionState::kPartial));
  }
  if (auto found = find_earlier(); !found) return found;
  if (may_release())
    blocks_ = std::make_unique<BlockReleaser>(
        *seams_.releaser, regions_.in_state(RegionState::kHeld),
        regions_.in_state(RegionState::kHole), seams_.block_bytes,
        [this](const std::string& text) { seams_.log.warn("{}, continuing", text); });
  return {};
}

// The target's own, those that the user names, and those that were noted.
Result<> SaveSession::find_earlier() {
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
    add_earlier_saves(earlier_, *more);
  }
  if (seams_.dump) find_registered();
  // What is not there cannot help; check_released() says whether it is needed.
  const bool published = own_journal_ && earlier_.front().content.published;
  for (std::size_t i = published ? 1 : 0; i < earlier_.size();) {
    if (has_its_files(earlier_[i])) {
      ++i;
      continue;
    }
    seams_.log.warn("the earlier save in {} no longer exists, continuing",
                    fmt::join(earlier_[i].content.files, ", "));
    if (i == 0) own_journal_ = false;
    earlier_.erase(earlier_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return {};
}

void SaveSession::find_registered() {
  const auto journals = registry_.journals(dump_id_);
  if (!journals) seams_.log.warn("{}, continuing", journals.error().what());
  for (const std::string& journal : journals ? *journals : std::vector<std::string>()) {
    const auto more = read_earlier_saves(journal, dump_id_);
    if (more && !more->empty())
      add_earlier_saves(earlier_, *more);
    else
      seams_.log.warn("an earlier save cannot be used, continuing: {}",
                      more ? journal + " is not there" : more.error().what());
  }
}

// A dump must not pass over in silence what was released and is in no earlier save.
Result<> SaveSession::check_released(const VmcoreLayout& now) {
  gone_ = released_;
  // Without an earlier save nobody can tell holes from memory in what is gone.
  FrameSet extent = earlier_.empty() ? released_ : now.frames;
  for (const EarlierSave& save : earlier_) {
    extent.insert(save.content.frames);
    gone_.erase(save.content.durable);
  }
  gone_ = gone_.intersection(extent);
  if (gone_.empty()) return {};
  const std::string text =
      fmt::format("{} of memory was released earlier, and no save that holds it was found",
                  format_size(gone_.bytes()));
  if (options_.without_earlier) {
    seams_.log.warn("{}; the dump will be incomplete", text);
    return {};
  }
  lacks_earlier_ = true;
  return fail(ErrorCode::kNotFound, text);
}

Result<std::unique_ptr<VmcoreSource>> SaveSession::open_source() {
  auto current = seams_.open_vmcore(options_.vmcore);
  if (!current) return fail(std::move(current));
  // What is released, or asked to be, is no longer what it was.
  FrameSet held = (*current)->layout().frames;
  held.erase(released_);
  if (auto checked = check_released((*current)->layout()); !checked)
    return fail(std::move(checked));
  frames_ = held;
  if (earlier_.empty() && gone_.empty()) return current;
  frames_.insert(gone_);
  // All that the first of them was to hold: the dump's extent at the crash.
  for (const EarlierSave& save : earlier_) frames_.insert(save.content.frames);
  return merge_with_earlier(std::move(*current), std::move(held), earlier_, gone_,
                            seams_.open_vmcore);
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
  dump.on_progress = [this](const DumpProgress& now) { show(now); };
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
    JournalContent start;
    start.dump_id = dump_id_;
    start.settings = settings();
    start.files = partial_files_;
    start.finals = target_.files;
    start.frames = frames_;
    for (EarlierSave& save : earlier_) {
      // The old journal makes room, by a copy, so that there is no moment without either: its
      // files are the only copy of what it lists.
      if (save.journal == path) {
        for (std::size_t i = 1; exists(save.journal); ++i)
          save.journal = fmt::format("{}.{}", path, i);
        if (auto copied = Journal::create(save.journal, save.content); !copied)
          return fail(std::move(copied));
      }
      start.with.push_back(save.journal);
    }
    return Journal::create(path, start);
  }();
  if (!started) return fail(std::move(started));
  journal_ = std::make_unique<Journal>(std::move(*started));
  // The memory is safe without it: a save elsewhere then asks for this one's name.
  if (auto noted = registry_.add(dump_id_, path); !noted)
    seams_.log.warn("recording the location of this save: {}, continuing", noted.error().what());
  return {};
}

// Makes the writer produce what the partial files hold already.
Result<> SaveSession::pass_adopted(DumpWriter& writer) {
  for (const LevelStep& step : earlier_.front().content.steps) {
    writer.set_dump_level(step.level);
    for (;;) {
      const FrameSet portion =
          writer.next_portion(options_.portion_bytes).intersection(step.frames);
      if (portion.empty()) break;
      if (auto done = writer.write_portion(portion); !done) return done;
      if (auto done = writer.make_durable(); !done) return done;
    }
  }
  for (AdoptingSink* sink : adopting_)
    if (auto done = sink->commit(); !done) return done;
  return {};
}

// Goes on at the level that the last durable portion has: the first one that fitted.
SaverOptions SaveSession::saver_options(bool adopt) const {
  SaverOptions saver{options_.portion_bytes, options_.levels.front(), {}, {}};
  auto level = options_.levels.begin();
  if (adopt) {
    const JournalContent& old = earlier_.front().content;
    saver.already_lost = old.lost;
    if (!old.steps.empty()) saver.level = old.steps.back().level;
    level = std::find(options_.levels.begin(), options_.levels.end(), saver.level);
  }
  if (level != options_.levels.end())
    saver.fallback_levels.assign(level + 1, options_.levels.end());
  return saver;
}

Result<SaveOutcome> SaveSession::write_dump(const VmcoreSource& source, const PageFilter* filter,
                                            const FrameUses& needed_later, bool adopt) {
  auto sinks = open_sinks(adopt);
  if (!sinks) return fail(std::move(sinks));
  auto writer = DumpWriter::create(source, filter, frames_, dump_options(), std::move(*sinks));
  if (!writer) return fail(std::move(writer));
  if (adopt)
    if (auto passed = pass_adopted(**writer); !passed) return fail(std::move(passed));
  if (auto started = start_journal(adopt); !started) return fail(std::move(started));

  FrameSet unsaved = frames_;
  if (adopt) unsaved.erase(earlier_.front().content.durable);
  Saver saver(**writer, journal_.get(), blocks_.get(), unsaved, needed_later, saver_options(adopt));
  // From here on memory is given back.
  if (auto saved = saver.save_portions(); !saved) return fail(std::move(saved));
  auto summary = (*writer)->finish();
  if (!summary) return fail(std::move(summary), "completing the dump");
  partial_files_.clear();
  if (journal_)
    if (auto noted = journal_->set_published(); !noted) return fail(std::move(noted));
  return SaveOutcome{std::move(*summary), 0, false, kept_unknown_ ? kept_unknown_() : 0, 0, false};
}

Result<SaveOutcome> SaveSession::save_from(const VmcoreSource& source, const PageFilter* filter,
                                           const FrameUses& needed_later) {
  if (can_adopt()) {
    seams_.log.info("continuing {}", fmt::join(earlier_.front().content.files, ", "));
    auto outcome = write_dump(source, filter, needed_later, true);
    const bool began = journal_ != nullptr;
    if (outcome || began || outcome.error().code() != ErrorCode::kBadData) return outcome;
    seams_.log.warn("cannot continue in place: {}; starting over", outcome.error().what());
  }
  return write_dump(source, filter, needed_later, false);
}

Result<SaveOutcome> SaveSession::save_all() {
  auto source = open_source();
  if (!source) return fail(std::move(source));
  save_kernel_log(**source);
  const OpenedFilter opened = open_page_filter(**source);
  kept_unknown_ = opened.kept_unknown;
  auto outcome = save_from(**source, opened.filter.get(), opened.needed_later);
  kept_unknown_ = {};
  return outcome;
}

// At every level: reading a page with a hardware error may kill this kernel, too.
OpenedFilter SaveSession::open_page_filter(const VmcoreSource& source) {
  const unsigned in_all = std::accumulate(options_.levels.begin(), options_.levels.end(),
                                          kMaxDumpLevel, std::bit_and<unsigned>());
  auto filter = open_filter(source, options_.levels.empty() ? 0 : in_all);
  if (filter) return std::move(*filter);
  constexpr unsigned kNeedsClasses = kMaxDumpLevel & ~kLevelZero;
  const bool wanted = std::any_of(options_.levels.begin(), options_.levels.end(),
                                  [](unsigned level) { return (level & kNeedsClasses) != 0; });
  seams_.log.log(wanted ? spdlog::level::warn : spdlog::level::info,
                 "{}; every page is kept, continuing", filter.error().what());
  return {};
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
  if (auto forgotten = registry_.forget(dump_id_); !forgotten) return forgotten;
  if (journal_)
    if (auto removed = journal_->remove(); !removed) return removed;
  for (const EarlierSave& save : earlier_) {
    // An earlier partial of the same target is now a part of the whole dump.
    const bool ours = save.journal.starts_with(journal_path(target_.files.front()));
    if (!ours) {
      if (outcome.summary.complete)
        seams_.log.info("no longer needed: {}", fmt::join(save.content.files, ", "));
      continue;
    }
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
        return fail(ErrorCode::kNotFound, file + " was complete but no longer exists; remove " +
                                              earlier_.front().journal +
                                              " to save what is still held");
    seams_.log.info("the dump is already complete: {}", fmt::join(old.files, ", "));
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
  unsafe.erase(released_);
  outcome.bytes_kept_lost = unsafe.bytes();
  if (auto done = release_all(outcome, unsafe); !done)
    seams_.log.warn("{}, continuing", done.error().what());
  const SaveProgress end{outcome.summary.progress, outcome.bytes_released,
                         blocks_ ? blocks_->held().bytes() : 0, outcome.kept_unknown, "done"};
  progress_.finish(end);
  return outcome;
}

}  // namespace hadump
