// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/round_clock.h"

#include <fmt/format.h>

namespace hadump {
namespace {

// A client is to be answered within a second.
constexpr std::chrono::milliseconds kSlowRound{1000};
constexpr std::chrono::milliseconds kWorthNaming{100};

}  // namespace

void RoundClock::ended(const char* part, std::chrono::milliseconds allowed) {
  const auto now = now_();
  parts_.emplace_back(part, now - last_ - allowed);
  last_ = now;
}

std::string RoundClock::next_round() {
  std::chrono::milliseconds total{};
  std::string text;
  for (const auto& [part, took] : parts_) {
    if (took.count() <= 0) continue;
    total += took;
    if (took >= kWorthNaming) text += fmt::format(" {}={}", part, took.count());
  }
  parts_.clear();
  last_ = now_();
  return total < kSlowRound
             ? ""
             : fmt::format("a round of the event loop took {} ms:{}", total.count(), text);
}

}  // namespace hadump
