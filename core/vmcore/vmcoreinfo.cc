// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/vmcoreinfo.h"

#include <fmt/format.h>

#include <charconv>

namespace hadump {
namespace {

std::optional<std::uint64_t> to_unsigned(std::optional<std::string_view> text, int base) {
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value, base);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

}  // namespace

Result<Vmcoreinfo> Vmcoreinfo::parse(std::string_view text) {
  if (text.size() > kMaxVmcoreinfoBytes)
    return fail(ErrorCode::kBadData, fmt::format("VMCOREINFO of {} bytes", text.size()));
  text = text.substr(0, text.find('\0'));
  Vmcoreinfo info;
  while (!text.empty()) {
    const std::size_t line_end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, line_end);
    text.remove_prefix(std::min(line_end + 1, text.size()));
    const std::size_t equals = line.find('=');
    if (equals == 0 || equals == std::string_view::npos) continue;
    info.values_.insert_or_assign(std::string(line.substr(0, equals)),
                                  std::string(line.substr(equals + 1)));
    if (info.values_.size() > kMaxVmcoreinfoKeys)
      return fail(ErrorCode::kBadData,
                  fmt::format("VMCOREINFO has more than {} keys", kMaxVmcoreinfoKeys));
  }
  if (info.values_.empty()) return fail(ErrorCode::kNotFound, "no VMCOREINFO");
  return info;
}

std::optional<std::string_view> Vmcoreinfo::text(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string_view> Vmcoreinfo::value(std::string_view kind,
                                                  std::string_view name) const {
  return text(fmt::format("{}({})", kind, name));
}

std::optional<GuestVirt> Vmcoreinfo::symbol(std::string_view name) const {
  const auto address = to_unsigned(value("SYMBOL", name), 16);
  if (!address) return std::nullopt;
  return GuestVirt{*address};
}

std::optional<std::uint64_t> Vmcoreinfo::size(std::string_view name) const {
  return to_unsigned(value("SIZE", name), 10);
}

std::optional<std::uint64_t> Vmcoreinfo::offset(std::string_view name) const {
  return to_unsigned(value("OFFSET", name), 10);
}

std::optional<std::uint64_t> Vmcoreinfo::length(std::string_view name) const {
  return to_unsigned(value("LENGTH", name), 10);
}

std::optional<std::int64_t> Vmcoreinfo::number(std::string_view name) const {
  auto text = value("NUMBER", name);
  if (!text) return std::nullopt;
  if (text->starts_with("0x")) {
    const auto bits = to_unsigned(text->substr(2), 16);
    return bits ? std::optional(static_cast<std::int64_t>(*bits)) : std::nullopt;
  }
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> Vmcoreinfo::hex(std::string_view key) const {
  return to_unsigned(text(key), 16);
}

}  // namespace hadump
