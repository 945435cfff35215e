// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/window_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hadump {
namespace {

constexpr std::array<std::string_view, 6> kWindowStepNames = {
    "same-window", "larger-window", "rescue-boot", "restart", "capture", "keep"};
static_assert(kWindowStepNames.size() == static_cast<std::size_t>(WindowStep::kKeep) + 1);

}  // namespace

std::string_view to_string(WindowStep step) {
  return kWindowStepNames.at(static_cast<std::size_t>(step));
}

Result<WindowStep> parse_window_step(std::string_view text) {
  for (std::size_t i = 0; i < kWindowStepNames.size(); ++i)
    if (kWindowStepNames.at(i) == text) return static_cast<WindowStep>(i);
  return fail(ErrorCode::kBadData, fmt::format("unknown step '{}' after a window", text));
}

bool WindowHistory::has_tried(WindowStep step) const {
  return std::find(tried.begin(), tried.end(), step) != tried.end();
}

void WindowHistory::note_tried(WindowStep step) {
  if (!has_tried(step)) tried.push_back(step);
}

}  // namespace hadump
