// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace hadump {
namespace {

Result<std::uint64_t> parse_number(std::string_view text, int base) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc{} || stop != end)
    return fail(ErrorCode::kBadData, fmt::format("'{}' is not a {} number", text,
                                                 base == 16 ? "hexadecimal" : "decimal"));
  return value;
}

bool strip_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool strip_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

// Takes "K", "KiB", "KB" and the like off the end; the exponent of two that they stand for.
unsigned strip_unit(std::string_view& text) {
  static_cast<void>(strip_suffix(text, "iB") || strip_suffix(text, "B"));
  unsigned shift = 10;
  for (char unit : {'K', 'M', 'G', 'T'}) {
    const char lower = static_cast<char>(unit - 'A' + 'a');
    if (strip_suffix(text, {&unit, 1}) || strip_suffix(text, {&lower, 1})) return shift;
    shift += 10;
  }
  return 0;
}

}  // namespace

Result<std::uint64_t> parse_hex(std::string_view text) {
  static_cast<void>(strip_prefix(text, "0x") || strip_prefix(text, "0X"));
  return parse_number(text, 16);
}

Result<std::uint64_t> parse_decimal(std::string_view text) {
  return parse_number(text, 10);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  if (text.starts_with("0x")) return parse_hex(text);
  const std::string_view whole = text;
  const unsigned shift = strip_unit(text);
  auto number = parse_number(text, 10);
  if (!number || *number > (UINT64_MAX >> shift))
    return fail(ErrorCode::kBadData,
                fmt::format("'{}' is not a size; write it as 512M, 2G or 0x10000000", whole));
  return *number << shift;
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto scaled = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (scaled >= 1024 && unit + 1 < kUnits.size()) {
    scaled /= 1024;
    ++unit;
  }
  return fmt::format("{:.4g} {}", scaled, kUnits[unit]);
}

}  // namespace hadump
