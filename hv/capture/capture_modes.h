// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

#include "core/base/error.h"
#include "hv/capture/capture_mode.h"
#include "hv/capture/capture_record.h"

namespace hadump {

/// Null when there is none of that name.
const CaptureMode* find_capture_mode(std::string_view name);
/// Names and summaries: "copy (…)".
std::string capture_mode_help();
/// Whether the words make sense. @return kBadData naming the option that does not.
Result<> check_order(const CaptureOrder& order);

}  // namespace hadump
