// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/live_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace hadump {
namespace {

using std::chrono::microseconds;

// A pass pays when it leaves a tenth less than it has copied.
constexpr double kPays = 0.9;
// A burst is no reason to stop a guest for longer than it may; so many in a row are no burst.
constexpr unsigned kFutilePasses = 3;
// One that is throttled already is not to be so for long.
constexpr unsigned kFutileThrottledPasses = 1;
constexpr unsigned kMaxTakenBack = 3;
constexpr unsigned kMaxBegunAgain = 3;

constexpr std::array<std::string_view, 3> kIfBusyWords = {"stop-longer", "throttle", "give-up"};
static_assert(kIfBusyWords.size() == static_cast<std::size_t>(IfBusy::kGiveUp) + 1);

}  // namespace

std::string_view to_string(IfBusy choice) {
  return kIfBusyWords.at(static_cast<std::size_t>(choice));
}

std::optional<IfBusy> parse_if_busy(std::string_view word) {
  const auto* const found = std::find(kIfBusyWords.begin(), kIfBusyWords.end(), word);
  if (found == kIfBusyWords.end()) return {};
  return static_cast<IfBusy>(found - kIfBusyWords.begin());
}

std::string if_busy_words() {
  std::string text;
  for (std::size_t i = 0; i < kIfBusyWords.size(); ++i)
    text.append(i == 0                        ? ""
                : i + 1 < kIfBusyWords.size() ? ", "
                                              : " or ")
        .append(kIfBusyWords.at(i));
  return text;
}

double LivePass::dirty_rate() const {
  const double seconds = std::chrono::duration<double>(lasted).count();
  return seconds > 0 ? static_cast<double>(written) / seconds : 0;
}

void LivePlan::measured(std::uint64_t frames, microseconds copied_in, microseconds fixed) {
  if (frames > 0)
    us_per_frame_ = static_cast<double>(copied_in.count()) / static_cast<double>(frames);
  fixed_ = fixed;
}

// The first pass copies everything: that less is left after it is no merit.
void LivePlan::add(const LivePass& pass) {
  const bool pays = static_cast<double>(pass.written) < kPays * static_cast<double>(pass.frames);
  if (passes_.size() > first_) {
    time_ += pass.lasted;
    futile_ = pays ? 0 : futile_ + 1;
  }
  if (is_throttled_) throttled_for_ += pass.lasted;
  passes_.push_back(pass);
}

bool LivePlan::begin_again() {
  first_ = since_ = passes_.size();
  time_ = {};
  futile_ = taken_back_ = 0;
  return ++begun_again_ <= kMaxBegunAgain;
}

// A guest that writes less has all its passes again.
void LivePlan::add_throttled(bool is_slower) {
  can_be_slower_ = is_slower;
  if (!is_slower) return;
  is_throttled_ = true;
  since_ = passes_.size();
  time_ = {};
  futile_ = taken_back_ = 0;
}

microseconds LivePlan::stop_time(std::uint64_t frames) const {
  return fixed_ + microseconds(std::llround(us_per_frame_ * static_cast<double>(frames)));
}

std::uint64_t LivePlan::frames_within_budget() const {
  if (us_per_frame_ <= 0) return std::numeric_limits<std::uint64_t>::max();
  const auto left = static_cast<double>((limits_.max_stop - fixed_).count());
  return left <= 0 ? 0 : static_cast<std::uint64_t>(left / us_per_frame_);
}

bool LivePlan::is_exhausted() const {
  return passes_.size() - since_ >= limits_.passes || time_ >= limits_.time ||
         throttled_for_ >= limits_.throttled_time ||
         futile_ >= (is_throttled_ ? kFutileThrottledPasses : kFutilePasses) ||
         taken_back_ >= kMaxTakenBack;
}

LiveStep LivePlan::next(std::uint64_t frames, bool is_ready) const {
  if (passes_.size() == first_) return LiveStep::kPass;
  if (is_ready && taken_back_ < kMaxTakenBack && is_within_budget(frames)) return LiveStep::kStop;
  if (!is_exhausted()) return LiveStep::kPass;
  if (limits_.if_busy == IfBusy::kGiveUp) return LiveStep::kGiveUp;
  const bool may_be_slower = can_be_slower_ && throttled_for_ < limits_.throttled_time;
  return limits_.if_busy == IfBusy::kThrottle && may_be_slower ? LiveStep::kThrottle
                                                               : LiveStep::kStopLonger;
}

}  // namespace hadump
