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
  std::string names;
  for (std::size_t i = 0; i < kFormats.size(); ++i)
    names += fmt::format("{}{}",
                         i == 0                     ? ""
                         : i + 1 == kFormats.size() ? " or "
                                                    : ", ",
                         kFormats[i].name);
  return names;
}

}  // namespace hadump
