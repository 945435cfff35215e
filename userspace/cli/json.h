// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/base/json_text.h"

namespace hadump {

/// Keeps the order in which keys are added.
using Json = nlohmann::ordered_json;

/// Also of {{"key", value}, …}.
inline std::string json_text(const Json& json) {
  return json_text<Json>(json);
}

}  // namespace hadump
