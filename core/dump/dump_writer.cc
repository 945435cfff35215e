// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/dump_writer.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "core/dump/check_dump.h"
#include "core/dump/chunk_worker.h"
#include "core/dump/codec_governor.h"
#include "core/dump/format.h"
#include "core/dump/lost_frames.h"
#include "core/dump/pipeline.h"
#include "core/dump/portion_cursor.h"
#include "core/dump/run_queue_clock.h"
#include "core/dump/stripes.h"
#include "core/dump/usable_cpus.h"

namespace hadump {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kProgressInterval = std::chrono::milliseconds(100);

/// The tables are written, but the sink cannot say that they are safe.
bool is_no_promise(const Result<>& result) {
  return !result && result.error().code() == ErrorCode::kUnsupported;
}

class Writer : public DumpWriter {
 public:
  /// @param layout  of the source.
  Writer(const VmcoreLayout& layout, FrameSet frames, DumpOptions options, unsigned workers);

  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() override;

  Result<> open(const VmcoreSource& source, const PageFilter* filter,
                std::vector<std::unique_ptr<DumpSink>> sinks);

  Result<> adopt(std::span<const LevelStep> steps) override;
  FrameSet next_portion(std::uint64_t max_bytes) const override;
  Result<> write_portion(const FrameSet& portion) override;
  Result<> make_durable() override;
  void set_dump_level(unsigned level) override {
    pipeline_->discard_ahead();
    level_ = level;
  }
  Result<DumpSummary> finish() override;
  DumpSummary summary() const override;

 private:
  Result<> measure_costs();
  Result<> write_steps(FrameSet rest);
  Result<> write_until_valid(const FrameSet& step, const FrameSet& next_step);
  Result<> write_step(const FrameSet& step, const FrameSet& next_step);
  Result<> take_back(Error error);
  Result<> consume(Chunk& chunk);
  void fill(Chunk& chunk, ChunkWorker& worker) const;
  Result<> checkpoint();
  std::vector<FrameSet> by_output(const FrameSet& frames) const;
  DumpProgress progress() const;
  void tell_progress();

  /// Without a filter, whatever the level says, only zero pages are told apart.
  unsigned applied_level() const { return has_filter_ ? level_ : level_ & kLevelZero; }

  DumpOptions options_;
  unsigned level_;
  bool has_filter_ = false;
  unsigned worker_count_;
  FrameSet frames_;        ///< What the dump is to hold;
  FrameSet absent_;        ///< what the source is known not to have of it,
  FrameSet lost_;          ///< and to have lost.
  FrameSet left_;          ///< Can still be written.
  FrameSet durable_left_;  ///< As it was at the last checkpoint.
  FrameSet kept_;          ///< Durable steps of the last portion: no news when it is given again.
  /// What the caller asked for last: probably what will be asked for next.
  mutable std::uint64_t asked_bytes_ = kMaxPortionBytes;
  FrameSet missing_;
  DumpProgress done_;  ///< Of durable portions and, until a checkpoint or a rollback, the pending.
  DumpProgress durable_;
  bool pending_ = false;  ///< Something was written since the last checkpoint.
  FrameSet pending_missing_;
  bool source_is_whole_ = true;
  bool failed_ = false;
  bool has_begun_ = false;  ///< The headers are written,
  bool has_ended_ = false;  ///< and what belongs at the end.
  Clock::time_point begun_ = Clock::now();
  Clock::time_point told_{};
  std::optional<CodecGovernor> governor_;  ///< Only for an automatic codec.
  std::optional<RunQueueClock> clock_;     ///< Likewise.
  std::unique_ptr<DumpFormat> format_;
  std::vector<std::unique_ptr<ChunkWorker>> workers_;
  std::unique_ptr<Pipeline> pipeline_;  // last: its threads use the workers
};

Writer::Writer(const VmcoreLayout& layout, FrameSet frames, DumpOptions options, unsigned workers)
    : options_(std::move(options)),
      level_(options_.dump_level),
      worker_count_(workers),
      frames_(std::move(frames)),
      absent_(layout.absent.intersection(frames_)),
      lost_(layout.lost.intersection(frames_)),
      left_(frames_) {
  // There may be any amount of them: they never go through the pipeline.
  left_.erase(absent_);
  left_.erase(lost_);
  durable_left_ = left_;
  missing_ = lost_;
  done_.frames_total = frames_.frames();
  done_.frames_absent = absent_.frames();
  done_.frames_missing = lost_.frames();
  done_.frames_done = done_.frames_absent + done_.frames_missing;
  durable_ = done_;
}

Result<> Writer::open(const VmcoreSource& source, const PageFilter* filter,
                      std::vector<std::unique_ptr<DumpSink>> sinks) {
  has_filter_ = filter != nullptr;
  if (!options_.format->is_compressed) options_.codec = {};
  if (options_.codec.is_automatic) {
    governor_.emplace(worker_count_, usable_cpus());
    clock_.emplace();
  }
  const CodecChoice codec = governor_ ? CodecGovernor::ladder().front() : options_.codec;
  for (unsigned i = 0; i < worker_count_; ++i) {
    auto worker = ChunkWorker::create(source, filter, codec);
    if (!worker) return fail(std::move(worker));
    workers_.push_back(std::move(*worker));
  }
  if (governor_)
    if (auto measured = measure_costs(); !measured) return measured;
  auto borders = plan_stripes(frames_, left_, sinks.size(), *workers_.front(), level_);
  if (!borders) return fail(std::move(borders));
  std::vector<FormatOutput> outputs;
  for (std::size_t i = 0; i < sinks.size(); ++i)
    outputs.push_back({(*borders)[i], std::move(sinks[i])});

  const std::uint32_t codec_flags = governor_                ? CodecGovernor::flags()
                                    : codec.codec != nullptr ? codec.codec->flag
                                                             : 0;
  auto format = options_.format->make({&source.layout(), frames_, absent_, lost_, applied_level(),
                                       codec_flags, identify_kernel(source)},
                                      std::move(outputs));
  if (!format) return fail(std::move(format));
  format_ = std::move(*format);
  source_is_whole_ = !source.layout().incomplete;
  if (auto begun = format_->begin(); !begun) return begun;
  has_begun_ = true;
  auto pipeline = Pipeline::create(
      worker_count_, [this](Chunk& chunk, unsigned worker) { fill(chunk, *workers_[worker]); });
  if (!pipeline) return fail(std::move(pipeline));
  pipeline_ = std::move(*pipeline);
  return {};
}

Result<> Writer::measure_costs() {
  for (auto& worker : workers_) worker->measure_costs(nullptr);
  auto probe = CodecProbe::create();
  if (!probe) return fail(std::move(probe));
  workers_.front()->measure_costs(std::move(*probe));
  return {};
}

/// A file says all the time what it has. A stream can say so only at its end, which this is when
/// there was an error, or no finish(): it becomes a readable dump that is flagged incomplete.
/// Errors are of no interest, whoever destroys this has one already.
Writer::~Writer() {
  if (!has_begun_ || has_ended_ || format_->outputs().front().sink->can_rewrite()) return;
  static_cast<void>(format_->checkpoint());
  static_cast<void>(format_->finish(false, applied_level()));
}

/// On a worker's thread.
void Writer::fill(Chunk& chunk, ChunkWorker& worker) const {
  if (!governor_) return worker.fill(chunk, level_);
  const std::size_t rung = governor_->rung();
  if (CodecGovernor::ladder()[rung] != worker.codec())
    if (auto set = worker.set_codec(CodecGovernor::ladder()[rung]); !set) {
      chunk.result = std::move(set);
      return;
    }
  worker.fill(chunk, level_);
  chunk.cost.rung = rung;
}

std::vector<FrameSet> Writer::by_output(const FrameSet& frames) const {
  std::vector<FrameSet> sets;
  for (const FormatOutput& output : format_->outputs())
    sets.push_back(frames.intersection(output.range));
  return sets;
}

Result<> Writer::adopt(std::span<const LevelStep> steps) {
  for (const LevelStep& step : steps) {
    set_dump_level(step.level);
    for (;;) {
      const FrameSet portion = next_portion(kMaxPortionBytes).intersection(step.frames);
      if (portion.empty()) break;
      if (auto done = write_portion(portion); !done) return done;
      if (auto done = make_durable(); !done) return done;
    }
  }
  for (const FormatOutput& output : format_->outputs())
    if (auto done = output.sink->end_adoption(); !done) return done;
  return {};
}

FrameSet Writer::next_portion(std::uint64_t max_bytes) const {
  asked_bytes_ = max_bytes;
  return first_of_each(by_output(left_), max_bytes);
}

Result<> Writer::write_portion(const FrameSet& portion) {
  if (failed_) return fail(ErrorCode::kBusy, "this dump has failed");
  // A portion that fails is taken back as a whole, and only that one.
  if (pending_)
    if (auto done = make_durable(); !done && !is_no_promise(done)) return done;
  FrameSet rest = portion;
  rest.erase(kept_);
  if (left_.intersection(rest) != rest)
    return fail(ErrorCode::kBadData, "a portion must be part of what remains to be written");
  return write_steps(std::move(rest));
}

Result<> Writer::write_steps(FrameSet rest) {
  constexpr std::uint64_t kStepFrames = kMaxPortionBytes >> kFrameShift;
  while (!rest.empty()) {
    const FrameSet step = first_frames(rest, kStepFrames);
    rest.erase(step);
    FrameSet after = rest;
    if (after.empty()) {
      after = left_;
      after.erase(step);
      after = first_of_each(by_output(after), asked_bytes_);
    }
    if (auto done = write_until_valid(step, first_frames(after, kStepFrames)); !done) return done;
    if (rest.empty()) break;
    if (auto done = checkpoint(); !done && !is_no_promise(done)) return done;
    kept_.insert(step);
  }
  return {};
}

Result<> Writer::write_until_valid(const FrameSet& step, const FrameSet& next_step) {
  for (;;) {
    if (auto done = write_step(step, next_step); !done) return take_back(std::move(done).error());
    if (!options_.still_valid) return {};
    auto valid = options_.still_valid(step);
    if (valid && *valid == ReadCheck::kStaleAhead) pipeline_->discard_ahead();
    if (valid && *valid != ReadCheck::kStale) return {};
    const bool known = valid.has_value();
    auto undone =
        take_back(known ? Error(ErrorCode::kBusy, "the memory changed while it was being read")
                        : std::move(valid).error());
    if (!known || failed_) return undone;
  }
}

/// @param next_step  what will probably be written next: the workers go on with it while this step
///                   is made durable. Its frames are not saved yet, so nobody may release them.
Result<> Writer::write_step(const FrameSet& step, const FrameSet& next_step) {
  PortionCursor cursor(by_output(step));
  PortionCursor later(by_output(next_step));
  auto done = pipeline_->run([&] { return cursor.next(); }, [&] { return later.next(); },
                             [this](Chunk& chunk) { return consume(chunk); });
  if (!done) return done;
  if (auto reserved = format_->reserve(); !reserved) return reserved;
  pending_ = true;
  // Frames that were passed over cannot be written any more, each file being in ascending order.
  for (const FrameSet& part : by_output(step)) {
    if (part.empty()) continue;
    const Gfn end = part.ranges().back().end;
    for (const FormatOutput& output : format_->outputs())
      if (output.range.overlaps({part.ranges().front().begin, end}))
        left_.erase({output.range.begin, end});
  }
  tell_progress();
  return {};
}

Result<> Writer::consume(Chunk& chunk) {
  if (options_.cancelled && options_.cancelled())
    return fail(ErrorCode::kCancelled, "writing the dump");
  if (!chunk.result) return std::move(chunk.result);
  const auto begun = governor_ ? clock_->now() : std::chrono::nanoseconds{};
  if (auto done = format_->append(chunk); !done) return done;
  if (governor_) governor_->took(chunk.cost, clock_->now() - begun);
  if (chunk.counts.frames_missing > 0)
    for (std::size_t i = 0; i < chunk.frames.frames(); ++i)
      if (chunk.pages[i].fate == PageFate::kLost) {
        const Gfn gfn{chunk.frames.begin.value + i};
        pending_missing_.insert({gfn, Gfn{gfn.value + 1}});
      }
  done_.add(chunk.counts);
  done_.frames_done += chunk.frames.frames();
  if (Clock::now() - told_ >= kProgressInterval) tell_progress();
  return {};
}

/// The error of the portion; when things are past going back, it was the last one.
Result<> Writer::take_back(Error error) {
  pipeline_->discard_ahead();
  if (auto undone = format_->rollback(); !undone) failed_ = true;
  done_ = durable_;
  left_ = durable_left_;
  pending_ = false;
  pending_missing_ = {};
  return tl::unexpected<Error>(std::move(error));
}

Result<> Writer::make_durable() {
  if (failed_) return fail(ErrorCode::kBusy, "this dump has failed");
  auto done = checkpoint();
  if (done || is_no_promise(done)) kept_ = {};
  return done;
}

Result<> Writer::checkpoint() {
  auto done = format_->checkpoint();
  const bool no_promise = is_no_promise(done);
  if (!done && done.error().code() == ErrorCode::kNoSpace)
    return take_back(std::move(done).error());
  if (!done && !no_promise) {
    failed_ = true;
    return done;
  }
  missing_.insert(pending_missing_);
  if (missing_.ranges().size() > kMaxLostRanges)
    missing_ = with_fewer_ranges(missing_, kMaxLostRanges / 2);
  pending_ = false;
  durable_left_ = left_;
  pending_missing_ = {};
  if (!no_promise) done_.frames_durable = done_.frames_done;
  durable_ = done_;
  return done;
}

Result<DumpSummary> Writer::finish() {
  auto durable = make_durable();
  if (!durable && !is_no_promise(durable)) return fail(std::move(durable));
  if (done_.frames_done != done_.frames_total)
    return fail(ErrorCode::kIncomplete, "not all of the memory was written");
  has_ended_ = true;
  if (auto done = format_->finish(missing_.empty() && source_is_whole_, applied_level()); !done) {
    failed_ = true;
    return fail(std::move(done));
  }
  done_.frames_durable = done_.frames_done;
  return summary();
}

DumpProgress Writer::progress() const {
  DumpProgress progress = done_;
  progress.bytes_written = format_->bytes_written();
  progress.elapsed = Clock::now() - begun_;
  return progress;
}

void Writer::tell_progress() {
  told_ = Clock::now();
  if (options_.on_progress) options_.on_progress(progress());
}

DumpSummary Writer::summary() const {
  DumpSummary summary;
  summary.progress = progress();
  summary.missing = missing_;
  summary.complete =
      source_is_whole_ && missing_.empty() && done_.frames_done == done_.frames_total;
  for (const FormatOutput& output : format_->outputs())
    summary.locations.push_back(output.sink->location());
  summary.sizes = format_->sizes();
  return summary;
}

}  // namespace

Result<std::unique_ptr<DumpWriter>> DumpWriter::create(
    const VmcoreSource& source, const PageFilter* filter, FrameSet frames, DumpOptions options,
    std::vector<std::unique_ptr<DumpSink>> sinks) {
  if (auto checked = check_dump(frames, options, sinks.size()); !checked)
    return fail(std::move(checked));
  const unsigned workers =
      options.workers != 0 ? options.workers : std::min(usable_cpus(), kMaxDumpWorkers);
  auto writer =
      std::make_unique<Writer>(source.layout(), std::move(frames), std::move(options), workers);
  if (auto opened = writer->open(source, filter, std::move(sinks)); !opened)
    return fail(std::move(opened), "starting the dump");
  return writer;
}

}  // namespace hadump
