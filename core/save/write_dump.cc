// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/write_dump.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "core/dump/flattened_sink.h"
#include "core/save/acked_sink.h"
#include "core/save/adopting_sink.h"
#include "core/save/old_memory.h"
#include "core/save/save_registry.h"
#include "core/save/saver.h"

namespace hadump {
namespace {

using Sinks = std::vector<std::unique_ptr<DumpSink>>;

std::vector<std::string> locations_of(const Sinks& sinks) {
  std::vector<std::string> locations;
  for (const auto& sink : sinks) locations.push_back(sink->location());
  return locations;
}

Result<Sinks> open_stream(const SaveContext& context) {
  auto sink = context.options.to_host
                  ? context.seams.open_host()
                  : open_flattened_sink(UniqueFd(::dup(STDOUT_FILENO)), "standard output");
  if (!sink) return fail(std::move(sink));
  Sinks sinks;
  sinks.push_back(std::move(*sink));
  if (context.options.ack_fd >= 0)
    sinks.back() = std::make_unique<AckedSink>(
        std::move(sinks.back()), UniqueFd(::dup(context.options.ack_fd)), context.seams.cancelled);
  return sinks;
}

/// New files that nothing was written to but headers: they are of no use to anybody.
void remove_empty(const SavePlan& plan, const std::vector<std::string>& files) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string name = files[i].substr(files[i].rfind('/') + 1);
    // What cannot be removed stays, as after any other failure.
    static_cast<void>(plan.target.files[i].beside(name).remove());
  }
}

/// @param adopted  the partial files to continue; null for new ones.
Result<Sinks> open_files(const SaveContext& context, const SavePlan& plan,
                         const EarlierSave* adopted) {
  Sinks sinks;
  for (std::size_t i = 0; i < plan.target.files.size(); ++i) {
    const HeldFile& file = plan.target.files[i];
    const std::string partial = adopted != nullptr ? adopted->files[i].name() : std::string();
    auto sink = context.seams.open_sink(file, partial);
    if (!sink && adopted == nullptr) remove_empty(plan, locations_of(sinks));
    if (!sink) return fail(std::move(sink));
    if (adopted != nullptr) {
      auto adopting = AdoptingSink::open(std::move(*sink), file.beside(partial));
      if (!adopting) return fail(std::move(adopting));
      *sink = std::move(*adopting);
    }
    sinks.push_back(std::move(*sink));
  }
  return sinks;
}

bool can_adopt(const SavePlan& plan) {
  const EarlierSave* old = plan.own();
  return old != nullptr && old->content.settings == plan.settings &&
         paths_of(old->finals) == paths_of(plan.target.files) && !old->content.durable.empty() &&
         check_its_files(*old).has_value();
}

/// A new journal for `files`. Where one of the same name is, it makes room by a copy, so that there
/// is no moment without either: its files are the only copy of what it lists.
/// @param earlier  told of the copy.
Result<Journal> start_journal(const SavePlan& plan, const FrameSet& frames,
                              const std::vector<std::string>& files,
                              std::vector<EarlierSave>& earlier) {
  const HeldFile journal = journal_beside(plan.target.files.front());
  JournalContent start;
  start.dump_id = plan.dump_id;
  start.settings = plan.settings;
  start.files = files;
  start.finals = paths_of(plan.target.files);
  start.frames = frames;
  for (EarlierSave& save : earlier) {
    if (save.journal.path() == journal.path()) {
      for (std::size_t i = 1; save.journal.exists(); ++i)
        save.journal = journal.beside(fmt::format("{}.{}", journal.name(), i));
      if (auto copied = Journal::create(save.journal, save.content); !copied)
        return fail(std::move(copied));
    }
    start.with.push_back(save.journal.path());
  }
  return Journal::create(journal, start);
}

// Goes on at the level that the last durable portion has: the first one that fitted.
SaverOptions saver_options(const SaveOptions& options, const EarlierSave* adopted) {
  SaverOptions saver{options.portion_bytes, options.levels.front(), {}};
  auto level = options.levels.begin();
  if (adopted != nullptr) {
    const auto& steps = adopted->content.steps;
    if (!steps.empty()) saver.level = steps.back().level;
    level = std::find(options.levels.begin(), options.levels.end(), saver.level);
  }
  if (level != options.levels.end()) saver.fallback_levels.assign(level + 1, options.levels.end());
  return saver;
}

/// One attempt to write the dump: in place of a partial one, or anew.
class Attempt {
 public:
  Attempt(const SaveContext& context, const SavePlan& plan, OldMemory& memory, FrameLedger& ledger,
          BlockReleaser* blocks, const EarlierSave* adopted)
      : context_(context),
        plan_(plan),
        memory_(memory),
        ledger_(ledger),
        blocks_(blocks),
        adopted_(adopted),
        earlier_(plan.earlier) {}

  Result<WrittenDump> run();

  /// From the moment it has, memory may have been given back.
  bool has_begun() const { return has_begun_; }
  /// The writer said that no dump of this format can have the memory.
  bool does_not_fit() const { return does_not_fit_; }
  const std::vector<std::string>& partial_files() const { return partial_files_; }

 private:
  Result<std::unique_ptr<DumpWriter>> open_writer();
  Result<> begin();
  DumpOptions dump_options();
  void leave_nothing();
  void show(const DumpProgress& dump);

  const SaveContext& context_;
  const SavePlan& plan_;
  OldMemory& memory_;
  FrameLedger& ledger_;
  BlockReleaser* blocks_;
  const EarlierSave* adopted_;
  std::vector<EarlierSave> earlier_;
  std::vector<std::string> partial_files_;
  std::optional<Journal> journal_;
  bool has_begun_ = false;
  bool does_not_fit_ = false;
};

void Attempt::show(const DumpProgress& dump) {
  SaveProgress now{dump, 0, 0, memory_.kept_unknown()};
  if (blocks_ != nullptr) {
    now.bytes_released = ledger_.bytes_released();
    now.bytes_held = ledger_.held().bytes();
  }
  context_.reporter.progress(now);
}

DumpOptions Attempt::dump_options() {
  const SaveOptions& options = context_.options;
  DumpOptions dump;
  dump.format = options.format;
  dump.codec = options.codec;
  dump.workers = options.threads;
  dump.dump_level = options.levels.front();
  dump.on_progress = [this](const DumpProgress& now) { show(now); };
  dump.cancelled = context_.seams.cancelled;
  dump.still_valid = [this](const FrameSet& read) { return memory_.still_valid(read); };
  return dump;
}

Result<std::unique_ptr<DumpWriter>> Attempt::open_writer() {
  const bool is_stream = plan_.target.is_stream();
  auto sinks = is_stream ? open_stream(context_) : open_files(context_, plan_, adopted_);
  if (!sinks) return fail(std::move(sinks));
  if (!is_stream) partial_files_ = locations_of(*sinks);
  auto writer = DumpWriter::create(memory_.source(), memory_.filter(), memory_.frames(),
                                   dump_options(), std::move(*sinks));
  does_not_fit_ = !writer && writer.error().code() == ErrorCode::kUnsupported;
  if (!writer) leave_nothing();
  if (!writer || adopted_ == nullptr) return writer;
  if (auto passed = (*writer)->adopt(adopted_->content.steps); !passed)
    return fail(std::move(passed));
  return writer;
}

// Before anything has begun: new files have nothing of the dump, and nobody would find them again.
void Attempt::leave_nothing() {
  if (adopted_ != nullptr) return;
  remove_empty(plan_, partial_files_);
  partial_files_.clear();
}

// Notes where the dump is, and what is to become of which frame.
Result<> Attempt::begin() {
  if (plan_.keeps_journal) {
    auto journal = adopted_ != nullptr
                       ? Journal::reopen(adopted_->journal, adopted_->content)
                       : start_journal(plan_, memory_.frames(), partial_files_, earlier_);
    if (!journal) return fail(std::move(journal));
    journal_ = std::move(*journal);
    // The memory is safe without it: a save elsewhere then asks for this one's name.
    if (auto noted = SaveRegistry(context_.seams.state_dir).add(plan_.dump_id, journal_->path());
        !noted)
      context_.reporter.warn(
          fmt::format("recording the location of this save: {}, continuing", noted.error().what()));
  }
  has_begun_ = true;
  if (adopted_ != nullptr)
    ledger_.expect(memory_.frames(), adopted_->content.durable, adopted_->content.lost);
  else
    ledger_.expect(memory_.frames(), {}, {});
  return {};
}

Result<WrittenDump> Attempt::run() {
  auto writer = open_writer();
  if (!writer) return fail(std::move(writer));
  if (auto begun = begin(); !begun) {
    leave_nothing();
    return fail(std::move(begun));
  }
  Saver saver(**writer, journal_ ? &*journal_ : nullptr, blocks_, ledger_, memory_.needed_later(),
              saver_options(context_.options, adopted_));
  // From here on memory is given back.
  if (auto saved = saver.save_portions(); !saved) return fail(std::move(saved));
  auto summary = (*writer)->finish();
  if (!summary) return fail(std::move(summary), "completing the dump");
  partial_files_.clear();
  if (journal_)
    if (auto noted = journal_->set_published(); !noted) return fail(std::move(noted));
  return WrittenDump{std::move(*summary), std::move(earlier_), memory_.kept_unknown()};
}

}  // namespace

tl::expected<WrittenDump, SaveFailure> write_dump(const SaveContext& context, const SavePlan& plan,
                                                  FrameLedger& ledger, BlockReleaser* blocks) {
  auto memory = OldMemory::open(context, plan, ledger);
  if (!memory) return tl::unexpected(std::move(memory).error());
  const bool has_files = !plan.target.is_stream();
  const auto failure = [has_files](Error error, const Attempt& attempt) {
    // Before it has begun: somebody else writes to what it was to continue. A stream's other end
    // that is busy is no saver.
    const bool is_locked = error.code() == ErrorCode::kBusy && !attempt.has_begun() && has_files;
    const auto reason = is_locked                ? SaveFailure::Reason::kLocked
                        : attempt.does_not_fit() ? SaveFailure::Reason::kFormat
                                                 : SaveFailure::Reason::kError;
    return tl::unexpected(SaveFailure{std::move(error), reason, attempt.partial_files()});
  };
  if (can_adopt(plan)) {
    context.reporter.info(fmt::format("continuing {}", fmt::join(plan.own()->content.files, ", ")));
    Attempt in_place(context, plan, **memory, ledger, blocks, plan.own());
    auto written = in_place.run();
    if (written) return std::move(*written);
    if (in_place.has_begun() || written.error().code() != ErrorCode::kBadData)
      return failure(std::move(written).error(), in_place);
    context.reporter.warn(
        fmt::format("cannot continue in place: {}; starting over", written.error().what()));
  }
  Attempt anew(context, plan, **memory, ledger, blocks, nullptr);
  auto written = anew.run();
  if (!written) return failure(std::move(written).error(), anew);
  return std::move(*written);
}

}  // namespace hadump
