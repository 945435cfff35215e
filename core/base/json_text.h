// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

namespace hadump {

/// The one way in which JSON becomes text: in ASCII, and with U+FFFD for what is not UTF-8, for
/// which dump() by itself throws. Names of files and what a guest wrote need not be UTF-8.
/// @param json    an nlohmann::json or ordered_json.
/// @param indent  -1: on one line.
template <typename Json>
std::string json_text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', true, Json::error_handler_t::replace);
}

}  // namespace hadump
