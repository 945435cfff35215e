// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace hadump {

/// `text` as a JSON string, quotes included. Bytes outside printable ASCII become \u00XX: file
/// names need not be UTF-8, JSON must be.
std::string json_string(std::string_view text);

}  // namespace hadump
