// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace hadump {

/// Keeps the order in which keys are added.
using Json = nlohmann::ordered_json;

/// On one line, in ASCII. File names need not be UTF-8, JSON must be: what is not becomes U+FFFD.
std::string json_text(const Json& json);

}  // namespace hadump
