// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// What hadumpd answers to a request: an object in which "domains", "captures" and "streams", if
/// any, are lists of objects. Nothing else about it is sure.
/// @return kBusy with hadumpd's words when it refuses, kBadData for what is no answer.
Result<nlohmann::ordered_json> parse_answer(const std::string& line);

/// A member of an answer. Empty, 0 and false when it is not there or of another type.
std::string text_at(const nlohmann::ordered_json& json, const char* key);
std::uint64_t number_at(const nlohmann::ordered_json& json, const char* key);
bool flag_at(const nlohmann::ordered_json& json, const char* key);

}  // namespace hadump
