// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/live_plan.h"

#include <cmath>

namespace hadump {
namespace {

using std::chrono::microseconds;

// A pass pays when it leaves a tenth less than it has copied.
constexpr double kPays = 0.9;
// A burst is no reason to stop a guest for longer than it may; so many in a row are no burst.
constexpr unsigned kFutilePasses = 3;
constexpr unsigned kMaxTakenBack = 3;
constexpr unsigned kMaxBegunAgain = 3;

}  // namespace

std::string_view to_string(IfBusy choice) {
  return choice == IfBusy::kGiveUp ? "give-up" : "stop-longer";
}

std::optional<IfBusy> parse_if_busy(std::string_view word) {
  for (const IfBusy choice : {IfBusy::kStopLonger, IfBusy::kGiveUp})
    if (to_string(choice) == word) return choice;
  return {};
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
  passes_.push_back(pass);
}

bool LivePlan::begin_again() {
  first_ = passes_.size();
  time_ = {};
  futile_ = taken_back_ = 0;
  return ++begun_again_ <= kMaxBegunAgain;
}

microseconds LivePlan::stop_time(std::uint64_t frames) const {
  return fixed_ + microseconds(std::llround(us_per_frame_ * static_cast<double>(frames)));
}

bool LivePlan::is_exhausted() const {
  return passes_.size() - first_ >= limits_.passes || time_ >= limits_.time ||
         futile_ >= kFutilePasses || taken_back_ >= kMaxTakenBack;
}

LiveStep LivePlan::next(std::uint64_t frames, bool is_ready) const {
  if (passes_.size() == first_) return LiveStep::kPass;
  if (is_ready && taken_back_ < kMaxTakenBack && is_within_budget(frames)) return LiveStep::kStop;
  if (!is_exhausted()) return LiveStep::kPass;
  return limits_.if_busy == IfBusy::kGiveUp ? LiveStep::kGiveUp : LiveStep::kStopLonger;
}

}  // namespace hadump
