// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <type_traits>

namespace hadump {

/// A number of a state file. nlohmann's own get() takes fractions, negative numbers and what does
/// not fit for some number, and a fraction that is too large is undefined behaviour.
/// @throws nlohmann::json::exception when it is not a whole number from 0 to 2^64 - 1,
/// std::out_of_range when it is more than T has room for (never for 64 bits).
template <typename T>
T json_number(const nlohmann::ordered_json& json) {
  static_assert(std::is_unsigned_v<T>);
  const auto value = json.get_ref<const std::uint64_t&>();  // throws unless it is just that
  if (value > std::numeric_limits<T>::max()) throw std::out_of_range("a number that is too large");
  return static_cast<T>(value);
}

/// The number under a key that must be there. @throws as json_number() does.
template <typename T>
void take_number(const nlohmann::ordered_json& json, const char* key, T& value) {
  value = json_number<T>(json.at(key));
}

/// The number under a key that need not be there: `value` stays then.
template <typename T>
void take_number_if_any(const nlohmann::ordered_json& json, const char* key, T& value) {
  if (json.contains(key)) take_number(json, key, value);
}

}  // namespace hadump
