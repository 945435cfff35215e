// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hadump {

/// Copies of a state file, each with one number in it (that is not below `but`) replaced by
/// something that is no whole number of 64 bits, or no number.
inline std::vector<std::string> with_bad_numbers(const std::string& text,
                                                 const std::string& but = "/none") {
  const auto good = nlohmann::ordered_json::parse(text);
  const nlohmann::ordered_json bad[] = {-1, 1.5, 3.3e105, -3.3e105, "1", nullptr};
  std::vector<std::string> all;
  const auto flat = good.flatten();
  for (const auto& [path, value] : flat.items()) {
    if (!value.is_number() || path.starts_with(but)) continue;
    for (const auto& instead : bad) {
      auto json = good;
      json[nlohmann::ordered_json::json_pointer(path)] = instead;
      all.push_back(json.dump());
    }
  }
  return all;
}

}  // namespace hadump
