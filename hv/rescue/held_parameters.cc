// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/held_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "core/abi/hadump_abi.h"
#include "hv/rescue/kernel_number.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMaxNode = 1023;             // Linux' MAX_NUMNODES on x86-64, less one
constexpr std::uint64_t kMaxHugePages = 1ULL << 40;  // more than 2^46 bytes have

// A decimal number, which is taken off the text.
std::optional<std::uint64_t> take_size(std::string_view& text, std::uint64_t limit) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number > limit) return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

// "512" or "0:512,1:512" in their plain form; empty: none are wanted. Nothing for what is no number
// of huge pages.
std::optional<std::string> plain_counts(std::string_view value) {
  std::string plain;
  for (bool first = true;; first = false) {
    auto number = take_size(value, kMaxHugePages);
    if (!number) return {};
    if (!value.starts_with(':')) {
      if (!first) return {};
      return *number == 0 ? std::string() : std::to_string(*number);
    }
    value.remove_prefix(1);
    const auto pages = take_size(value, kMaxHugePages);
    if (!pages || *number > kMaxNode) return {};
    if (*pages != 0) plain += fmt::format("{}{}:{}", plain.empty() ? "" : ",", *number, *pages);
    if (!value.starts_with(',')) return plain;
    value.remove_prefix(1);
    if (value.empty()) return plain;
  }
}

}  // namespace

void HeldParameters::see(const CmdlineWord& word, bool held) {
  if (!word.has_value) return;
  if (word.name == "hugepagesz" || word.name == "default_hugepagesz") {
    const auto size = parse_kernel_number(word.value, /*with_unit=*/true);
    pages_known_ = size && size->rest.empty() && size->value >= 1024 && size->value % 1024 == 0;
    if (pages_known_) pages_ = fmt::format("hugepages-{}kB", size->value / 1024);
    return;
  }
  if (!held) return;
  if (word.name == "hugepages")
    see_huge_pages(word.value);
  else
    add(word.name, "");
}

void HeldParameters::see_huge_pages(const std::string& value) {
  const auto counts = plain_counts(value);
  if (!pages_known_ || !counts) return add("hugepages", "");  // Linux takes no notice of them
  if (!counts->empty()) add(pages_, *counts);
}

void HeldParameters::add(const std::string& name, const std::string& value) {
  const auto known = std::find_if(items_.begin(), items_.end(),
                                  [&](const Item& item) { return item.name == name; });
  if (known == items_.end())
    items_.push_back({name, value});
  else if (known->value.empty())
    known->value = value;  // Linux has taken no notice of the first
}

std::string HeldParameters::text() const {
  std::string text;
  for (const Item& item : items_) {
    const std::string one = item.value.empty() ? item.name : item.name + '=' + item.value;
    if (text.size() + 1 + one.size() > HADUMP_MAX_HELD) continue;
    if (!text.empty()) text += ';';
    text += one;
  }
  return text;
}

}  // namespace hadump
