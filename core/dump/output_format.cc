// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/output_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hadump {
namespace {

constexpr std::array<OutputFormat, 4> kFormats{{
    {"kdump", true, false, kMaxDumpFiles, make_kdump_format},
    {"elf", false, false, 1, make_elf_format},
    {"xen", false, false, 1, make_xen_core_format},
    {"flattened", true, true, 1, make_kdump_format},
}};

template <typename Wanted>
std::string names_of(Wanted wanted) {
  std::vector<std::string_view> names;
  for (const OutputFormat& format : kFormats)
    if (wanted(format)) names.push_back(format.name);
  const std::string_view last = names.back();
  names.pop_back();
  return fmt::format("{} or {}", fmt::join(names, ", "), last);
}

}  // namespace

std::span<const OutputFormat> output_formats() {
  return kFormats;
}

const OutputFormat& stream_format() {
  return *std::find_if(kFormats.begin(), kFormats.end(),
                       [](const OutputFormat& format) { return format.is_stream; });
}

const OutputFormat* find_output_format(std::string_view name) {
  const auto* const found = std::find_if(kFormats.begin(), kFormats.end(),
                                         [&](const OutputFormat& row) { return row.name == name; });
  return found == kFormats.end() ? nullptr : found;
}

Result<const OutputFormat*> parse_output_format(std::string_view name) {
  const OutputFormat* const found = find_output_format(name);
  if (found == nullptr)
    return fail(ErrorCode::kBadData,
                fmt::format("invalid format '{}'; use {}", name, output_format_help()));
  return found;
}

std::string output_format_help() {
  return names_of([](const OutputFormat&) { return true; });
}

std::string file_format_help() {
  return names_of([](const OutputFormat& format) { return !format.is_stream; });
}

}  // namespace hadump
