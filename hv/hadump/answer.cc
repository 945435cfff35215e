// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadump/answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace hadump {

using Json = nlohmann::ordered_json;

Result<Json> parse_answer(const std::string& line) {
  Json answer = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto bad = [] { return fail(ErrorCode::kBadData, "malformed answer from hadumpd"); };
  if (!answer.is_object() || !answer.contains("ok")) return bad();
  if (answer["ok"] != true) {
    const std::string why = text_at(answer, "error");
    return fail(ErrorCode::kBusy, why.empty() ? "refused" : why);
  }
  for (const char* key : {"domains", "captures", "streams"}) {
    if (!answer.contains(key)) continue;
    const Json& list = answer[key];
    if (!list.is_array() ||
        !std::all_of(list.begin(), list.end(), [](const Json& one) { return one.is_object(); }))
      return bad();
  }
  return answer;
}

std::string text_at(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}

std::uint64_t number_at(const Json& json, const char* key) {
  if (!json.contains(key) || !json[key].is_number_integer()) return 0;
  const bool negative = !json[key].is_number_unsigned() && json[key].get<std::int64_t>() < 0;
  return negative ? 0 : json[key].get<std::uint64_t>();
}

bool flag_at(const Json& json, const char* key) {
  return json.contains(key) && json[key] == true;
}

}  // namespace hadump
