// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/live_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "core/base/text.h"

namespace hadump {
namespace {

using std::chrono::microseconds;

// As many frames as are mapped at a time while the guest runs.
constexpr std::uint64_t kStreamedFrames = 4_MiB >> kFrameShift;

// Calls what takes something back, at the latest when this goes away.
class TakenBack {
 public:
  /// @param failed  set when it goes away without success.
  TakenBack(bool& failed, std::function<Result<>()> take_back)
      : failed_(failed), take_back_(std::move(take_back)) {}
  TakenBack(const TakenBack&) = delete;
  TakenBack& operator=(const TakenBack&) = delete;
  ~TakenBack() {
    if (!now()) failed_ = true;  // the error that led here is the one to tell
  }
  /// After a failure it is tried once more.
  Result<> now() {
    if (!take_back_) return {};
    auto done = take_back_();
    if (done) take_back_ = nullptr;
    return done;
  }

 private:
  bool& failed_;
  std::function<Result<>()> take_back_;
};

}  // namespace

LiveCopy::LiveCopy(const LiveWorld& world, FrameSurvey survey)
    : world_(world),
      survey_(std::move(survey)),
      plan_(world.limits),
      throttle_({world.domain.cpu_share(), world.note_cap, world.monotonic, world.info}),
      buffer_(world.buffer_frames) {}

Result<LiveInstant> LiveCopy::run() {
  if (!buffer_.is_there()) return fail_os(ENOMEM, "taking memory for what a stop copies");
  frames_ = survey_.dumped();
  if (frames_.empty()) return fail(ErrorCode::kBadData, "the domain has no memory");
  auto changed = has_changed();  // for the first time: what it is now
  if (!changed) return fail(std::move(changed));
  DirtyLog& log = world_.domain.dirty_log();
  if (auto done = log.start(frames_.ranges().back().end, world_.keep_free_bytes); !done)
    return fail(std::move(done));
  TakenBack logging(is_left_to_repair_, [&log] { return log.stop(); });
  if (auto done = go_on_to_the_instant(); !done) return fail(std::move(done));
  if (auto done = logging.now(); !done) return fail(std::move(done));
  instant_.passes = plan_.passes();
  instant_.throttled = throttle_.done();
  instant_.throttled_for = throttle_.lasted();
  return std::move(instant_);
}

// The guest has its own cap again on every way out.
Result<> LiveCopy::go_on_to_the_instant() {
  TakenBack throttled(is_left_to_repair_, [this] { return throttle_.undo(); });
  pending_ = frames_;
  if (world_.limits.if_busy == IfBusy::kThrottle) throttle_.look();
  for (;;) {
    if (auto done = world_.may_go_on(); !done) return done;
    if (auto done = look_again_if_changed(); !done) return done;
    auto is_over = go_through();
    if (!is_over) return fail(std::move(is_over));
    if (*is_over) return throttled.now();
  }
}

// One pass, or the stop. @return whether that was it.
Result<bool> LiveCopy::go_through() {
  auto unlogged = world_.domain.dirty_log().unlogged();
  if (!unlogged) return fail(std::move(unlogged));
  unlogged_ = unlogged->intersection(frames_);
  rest_ = pending_;
  rest_.insert(always());
  if (auto done = make_ready(); !done) return fail(std::move(done));
  auto step = next_step();
  if (!step) return fail(std::move(step));
  switch (*step) {
    case LiveStep::kStop:
      return stop(false);
    case LiveStep::kStopLonger:
      world_.info(fmt::format(
          "the guest writes {}/s; it is stopped for about {} ms, for {}",
          format_size(static_cast<std::uint64_t>(plan_.passes().back().dirty_rate() * kFrameSize)),
          plan_.stop_time(rest_.frames()).count() / 1000, format_size(rest_.bytes())));
      return stop(true);
    case LiveStep::kGiveUp:
      return fail(ErrorCode::kBusy,
                  fmt::format("the guest writes so fast that it would be stopped for about {} ms; "
                              "--if-busy throttle slows it down meanwhile, --max-stop or "
                              "--if-busy stop-longer allows that",
                              plan_.stop_time(rest_.frames()).count() / 1000));
    case LiveStep::kThrottle:  // next_step() has done that
    case LiveStep::kPass:
      break;
  }
  auto done = pass();
  if (!done) return fail(std::move(done));
  return false;
}

// What is granted is part of each stop, however slow the guest is.
Result<LiveStep> LiveCopy::next_step() {
  const LiveStep step = plan_.next(rest_.frames(), is_ready_);
  if (step != LiveStep::kThrottle) return step;
  const std::uint64_t most = std::min(plan_.frames_within_budget(), world_.buffer_frames);
  const std::uint64_t fits = most - std::min(most, always().frames());
  auto is_slower =
      fits == 0
          ? Result<bool>(false)
          : throttle_.lower(static_cast<double>(fits) /
                            static_cast<double>(std::max<std::uint64_t>(pending_.frames(), 1)));
  if (!is_slower) return fail(std::move(is_slower));
  if (*is_slower)
    world_.passed("throttled");
  else
    world_.info("less processor time would be of no use");
  plan_.add_throttled(*is_slower);
  return plan_.next(rest_.frames(), is_ready_);
}

FrameSet LiveCopy::always() const {
  FrameSet frames = unlogged_;
  frames.insert(survey_.special);
  return frames;
}

// Copies it as a stop would, so that the time is known, and what is mapped stays mapped for that.
// For a pass it is a copy like any other.
Result<> LiveCopy::make_ready() {
  ready_.clear();
  is_ready_ = rest_.frames() <= world_.buffer_frames;
  if (!is_ready_) return {};
  const auto begun = now();
  auto mapped = world_.domain.memory().map_all(rest_, Access::kRead);
  if (!mapped) return fail(std::move(mapped));
  ready_ = std::move(*mapped);
  const auto mapped_at = now();
  copy_mappings(ready_, buffer_.all());
  const auto copied_at = now();
  auto cpus = world_.domain.domain().cpu_state();
  if (!cpus) return fail(std::move(cpus), "reading the vCPUs");
  plan_.measured(rest_.frames(), copied_at - mapped_at, now() - copied_at);
  if (!rest_.empty())
    us_per_mapped_ =
        static_cast<double>((mapped_at - begun).count()) / static_cast<double>(rest_.frames());
  return {};
}

Result<> LiveCopy::pass() {
  const auto begun = now();
  if (is_ready_) {
    more_ = {};
    if (auto done = keep_buffer(); !done) return done;
  } else {
    if (auto done = stream(pending_, true); !done) return done;
    plan_.measured(pending_.frames(), now() - begun, {});
  }
  is_new_ = false;
  return look_at_log(begun, now() - begun);
}

Result<> LiveCopy::look_at_log(microseconds begun, microseconds copied) {
  const std::uint64_t frames = pending_.frames();  // what is granted is in each rest, and no merit
  ready_.clear();
  auto written = world_.domain.dirty_log().take(false);
  if (!written) return fail(std::move(written));
  pending_ = written->intersection(frames_);
  if (world_.limits.if_busy == IfBusy::kThrottle) throttle_.look();
  plan_.add({frames, copied, pending_.frames(), now() - begun});
  const LivePass& last = plan_.passes().back();
  world_.info(fmt::format("pass {}: {} in {} ms; {} written meanwhile", plan_.passes().size(),
                          format_size(last.frames << kFrameShift), copied.count() / 1000,
                          format_size(pending_.bytes())));
  return {};
}

// Everything is copied once more: what came into the domain and was written to since is not known.
Result<> LiveCopy::look_again_if_changed() {
  auto changed = has_changed();
  if (!changed) return fail(std::move(changed));
  if (!*changed) return {};
  if (!plan_.begin_again())
    return fail(ErrorCode::kBusy,
                "the guest gets or loses memory all the time; capture it when its balloon rests");
  auto survey = world_.look();
  if (!survey) return fail(std::move(survey));
  survey_ = std::move(*survey);
  pending_ = frames_ = survey_.dumped();
  world_.info("the guest has got or lost memory; all of it is copied again");
  return {};
}

// Memory that came or went is in no log of Xen 4.17.
Result<bool> LiveCopy::has_changed() {
  auto frames = world_.domain.memory().total_frames();
  if (!frames) return fail(std::move(frames));
  // A domain without a balloon has no target.
  const std::uint64_t target = world_.domain.store().balloon_target_kib().value_or(0);
  const auto before = std::exchange(size_, {*frames, target});
  return before != size_;
}

Result<> LiveCopy::stream(const FrameSet& frames, bool while_it_runs) {
  const std::uint64_t piece_frames = std::min(kStreamedFrames, world_.buffer_frames);
  const std::uint64_t rate =
      plan_.passes().empty()
          ? 0
          : static_cast<std::uint64_t>(plan_.passes().back().dirty_rate() * kFrameSize);
  LiveProgress progress{static_cast<unsigned>(plan_.passes().size() + 1), frames.bytes(), rate};
  FrameSet piece;
  const auto write_piece = [&]() -> Result<> {
    auto mapped = world_.domain.memory().map_all(piece, Access::kRead);
    if (!mapped) return fail(std::move(mapped));
    copy_mappings(*mapped, buffer_.all());
    std::span<const std::byte> from = buffer_.all();
    for (FrameRange range : piece.ranges()) {
      if (auto done = world_.image.write(range.begin, from.first(range.bytes()), is_new_); !done)
        return done;
      from = from.subspan(range.bytes());
    }
    progress.left_bytes -= piece.bytes();
    piece = {};
    world_.show(progress);
    return while_it_runs ? world_.may_go_on() : Result<>();
  };
  std::uint64_t taken = 0;
  for (FrameRange range : frames.ranges())
    for (Gfn at = range.begin; at < range.end;) {
      const Gfn end{std::min(at.value + piece_frames - taken, range.end.value)};
      piece.insert({at, end});
      taken += end.value - at.value;
      at = end;
      if (taken < piece_frames) continue;
      if (auto done = write_piece(); !done) return done;
      taken = 0;
    }
  return piece.empty() ? Result<>() : write_piece();
}

// One stop, which may be taken back.
Result<bool> LiveCopy::stop(bool longer) {
  if (auto done = world_.note_stop(true); !done) return fail(std::move(done));
  microseconds lasted{};
  auto taken = take_while_stopped(longer, lasted);
  // Only when it is known to run.
  auto noted = is_left_to_repair_ ? Result<>() : world_.note_stop(false);
  if (!taken) return taken;
  if (!noted) return fail(std::move(noted));
  if (!*taken) {
    plan_.add_taken_back();
    ++instant_.taken_back;
    instant_.taken_back_for += lasted;
    pending_ = rest_;
    pending_.insert(more_);
    return false;
  }
  // Not when all is written: its users wait.
  if (auto done = throttle_.undo(); !done) return fail(std::move(done));
  instant_.stopped = lasted;
  instant_.stopped_frames = rest_.frames() + more_.frames();
  instant_.unlogged_frames = always().frames();
  if (is_ready_)
    if (auto done = keep_buffer(); !done) return fail(std::move(done));
  ready_.clear();
  return true;
}

// The guest runs again on every way out.
Result<bool> LiveCopy::take_while_stopped(bool longer, microseconds& lasted) {
  Domain& domain = world_.domain.domain();
  const auto begun = now();
  if (auto done = domain.pause(); !done) return fail(std::move(done));
  TakenBack stopped(is_left_to_repair_, [&domain] { return domain.unpause(); });
  world_.passed("paused");
  instant_.at_ms = world_.wall_ms();
  auto taken = take_rest(longer);
  if (!taken) return taken;
  world_.passed("copied");
  if (auto done = stopped.now(); !done) return fail(std::move(done), "making the guest run again");
  lasted = now() - begun;
  world_.passed("resumed");
  return taken;
}

// @return false when it would take too long by now, or the guest is of another size.
Result<bool> LiveCopy::take_rest(bool longer) {
  auto written = written_since();
  if (!written) return fail(std::move(written));
  more_ = std::move(*written);
  auto frames = world_.domain.memory().total_frames();
  if (!frames) return fail(std::move(frames));
  if (*frames != size_.first) return false;
  const std::uint64_t all = rest_.frames() + more_.frames();
  const auto mapping =
      microseconds(static_cast<std::int64_t>(us_per_mapped_ * static_cast<double>(more_.frames())));
  const bool in_time = plan_.stop_time(all) + mapping <= world_.limits.max_stop;
  is_ready_ = is_ready_ && all <= world_.buffer_frames;
  if (!longer && !(is_ready_ && in_time)) return false;
  if (is_ready_) {
    copy_mappings(ready_, buffer_.all());
    if (auto done = copy_more(more_); !done) return fail(std::move(done));
  } else {
    FrameSet both = rest_;
    both.insert(more_);
    if (auto done = stream(both, false); !done) return fail(std::move(done));
  }
  auto cpus = world_.domain.domain().cpu_state();
  if (!cpus) return fail(std::move(cpus), "reading the vCPUs");
  vcpus_ = std::move(cpus->vcpus);
  // It was not its last instant that was wanted.
  if (auto done = world_.may_go_on(); !done) return fail(std::move(done));
  return true;
}

// Written to or granted since the rest was made ready.
Result<FrameSet> LiveCopy::written_since() {
  auto written = world_.domain.dirty_log().take(true);
  if (!written) return fail(std::move(written));
  auto unlogged = world_.domain.dirty_log().unlogged();
  if (!unlogged) return fail(std::move(unlogged));
  unlogged_ = unlogged->intersection(frames_);
  FrameSet more = written->intersection(frames_);
  more.insert(unlogged_);
  more.erase(rest_);
  return more;
}

Result<> LiveCopy::copy_more(const FrameSet& more) {
  if (more.empty()) return {};
  auto mapped = world_.domain.memory().map_all(more, Access::kRead);
  if (!mapped) return fail(std::move(mapped));
  copy_mappings(*mapped, buffer_.all().subspan(rest_.bytes()));
  return {};
}

// What was copied into the buffer: the rest, and what was found in the stop.
Result<> LiveCopy::keep_buffer() {
  std::span<const std::byte> from = buffer_.all();
  for (const FrameSet* frames : {&rest_, &more_})
    for (FrameRange range : frames->ranges()) {
      if (auto done = world_.image.write(range.begin, from.first(range.bytes()), is_new_); !done)
        return done;
      from = from.subspan(range.bytes());
    }
  return {};
}

Result<> repair_live(OpenDomain& domain, bool was_stopped,
                     const std::optional<CapChange>& throttled) {
  Result<> first;
  const auto add = [&first](Result<> done) {
    if (first && !done) first = std::move(done);
  };
  if (was_stopped) {
    auto status = domain.domain().status();
    if (!status) add(fail(std::move(status)));
    if (status && status->paused) add(domain.domain().unpause());
  }
  if (throttled) {
    auto done = restore_cap(domain.cpu_share(), *throttled);
    if (!done) add(fail(std::move(done)));
  }
  add(domain.dirty_log().stop());
  return first;
}

}  // namespace hadump
