// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hv/capture/cap_change.h"

namespace hadump {

/// What is done with a guest that writes so fast that it would be stopped for longer than it may.
enum class IfBusy : std::uint8_t {
  kStopLonger,
  kThrottle,  ///< it gets less processor time; when that is of no use, it is stopped for longer
  kGiveUp,
};
std::string_view to_string(IfBusy choice);
/// @return nothing for another word.
std::optional<IfBusy> parse_if_busy(std::string_view word);
/// All words, as in "a, b or c".
std::string if_busy_words();

struct LiveLimits {
  std::chrono::microseconds max_stop{5000};
  IfBusy if_busy = IfBusy::kStopLonger;
  unsigned passes = 30;
  std::chrono::microseconds time = std::chrono::minutes(5);  ///< of the passes after the first
  std::chrono::microseconds throttled_time =
      std::chrono::minutes(1);  ///< and while it is throttled
};

/// One time through what was written to.
struct LivePass {
  std::uint64_t frames = 0;  ///< that were copied
  std::chrono::microseconds copied_in{};
  std::uint64_t written = 0;           ///< frames that the guest has written to meanwhile
  std::chrono::microseconds lasted{};  ///< from one look at the log to the next
  bool operator==(const LivePass&) const = default;

  /// Frames in a second.
  double dirty_rate() const;
};

/// How far the copy of a running domain's memory is.
struct LiveProgress {
  unsigned pass = 0;                    ///< from 1
  std::uint64_t left_bytes = 0;         ///< of this pass
  std::uint64_t dirty_bytes_per_s = 0;  ///< in the pass before
};

/// What is known of the instant that a live dump is of.
struct LiveInstant {
  std::uint64_t at_ms = 0;  ///< since 1970
  std::chrono::microseconds stopped{};
  std::uint64_t stopped_frames = 0;   ///< copied while it was stopped
  std::uint64_t unlogged_frames = 0;  ///< of these: others may have been writing to them
  /// Stops before that were too long already when they began, and how long they lasted.
  unsigned taken_back = 0;
  std::chrono::microseconds taken_back_for{};
  /// The processor time that it got less, and for how long. None was set: it was not throttled.
  CapChange throttled;
  std::chrono::microseconds throttled_for{};
  std::vector<LivePass> passes;
};

enum class LiveStep : std::uint8_t {
  kPass,        ///< go through what was written to once more
  kStop,        ///< stop the guest: it is within its budget
  kStopLonger,  ///< stop it all the same; stop_time() says for how long
  kThrottle,    ///< let it have less processor time; add_throttled() says what came of it
  kGiveUp,
};

/// Decides when a running guest is stopped for the rest of its memory: when that is predicted to
/// take no longer than it may, or when another pass would not make it shorter.
class LivePlan {
 public:
  explicit LivePlan(const LiveLimits& limits) : limits_(limits) {}

  /// @param frames  that were copied as they would be in the stop. @param fixed  what a stop takes
  ///                besides: registers, the log.
  void measured(std::uint64_t frames, std::chrono::microseconds copied_in,
                std::chrono::microseconds fixed);
  void add(const LivePass& pass);
  /// The guest was stopped, had written too much by then, and goes on.
  void add_taken_back() { ++taken_back_; }
  /// @param is_slower  it has less processor time now; false: it cannot have less, or it is no use.
  void add_throttled(bool is_slower);
  /// All memory must be copied again. @return false when that has been so too often.
  [[nodiscard]] bool begin_again();

  /// How long it would be stopped to copy so many frames.
  std::chrono::microseconds stop_time(std::uint64_t frames) const;
  bool is_within_budget(std::uint64_t frames) const {
    return stop_time(frames) <= limits_.max_stop;
  }
  /// How many frames a stop may copy; many when nothing was measured.
  std::uint64_t frames_within_budget() const;
  /// @param frames    what a stop would have to copy now. @param is_ready  and it could do so
  ///                  without waiting for anybody.
  LiveStep next(std::uint64_t frames, bool is_ready = true) const;
  const std::vector<LivePass>& passes() const { return passes_; }

 private:
  bool is_exhausted() const;

  LiveLimits limits_;
  std::vector<LivePass> passes_;
  std::size_t first_ = 0;  ///< the pass over everything, of passes_
  std::size_t since_ = 0;  ///< the passes that count, of passes_
  unsigned begun_again_ = 0;
  std::chrono::microseconds time_{};  ///< of all passes that count but the first
  unsigned futile_ = 0;               ///< passes in a row after which no less was left
  unsigned taken_back_ = 0;
  bool is_throttled_ = false;
  bool can_be_slower_ = true;
  std::chrono::microseconds throttled_for_{};
  double us_per_frame_ = 0;
  std::chrono::microseconds fixed_{};
};

}  // namespace hadump
