// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/capture_mode.h"

#include <fmt/format.h>

#include <algorithm>

#include "hv/capture/copy_mode.h"

namespace hadump {
namespace {

constexpr CaptureMode kModes[] = {
    {"copy", "the memory is written to a file while the domain stays as it crashed", copy_domain},
};

}  // namespace

const CaptureMode* find_capture_mode(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kModes), std::end(kModes),
                                         [&](const CaptureMode& one) { return one.name == name; });
  return found == std::end(kModes) ? nullptr : found;
}

std::string capture_mode_help() {
  std::string text;
  for (const CaptureMode& mode : kModes)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", mode.name, mode.summary);
  return text;
}

}  // namespace hadump
