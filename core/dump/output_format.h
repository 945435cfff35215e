// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dump/format.h"

namespace hadump {

/// One row of the table of output formats (output_format.cc).
struct OutputFormat {
  std::string_view name;
  bool is_compressed;     ///< Pages may be stored with a codec.
  bool is_stream;         ///< Every byte is written once, in the flattened form: for pipes.
  std::size_t max_files;  ///< Over how many files a dump may be striped.
  Result<std::unique_ptr<DumpFormat>> (*make)(FormatInput input, std::vector<FormatOutput> outputs);
};

/// The first is the default.
std::span<const OutputFormat> output_formats();
/// What a stream gets when nothing else was asked for.
const OutputFormat& stream_format();
/// Null when there is none of that name.
const OutputFormat* find_output_format(std::string_view name);
/// kBadData likewise.
Result<const OutputFormat*> parse_output_format(std::string_view name);
/// Their names, for help texts and messages: "kdump, elf, xen or flattened".
std::string output_format_help();
/// Those of files: "kdump, elf or xen".
std::string file_format_help();

}  // namespace hadump
