// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/dump_levels.h"

#include <fmt/format.h>

#include "core/base/text.h"
#include "core/vmcore/page_filter.h"

namespace hadump {

Result<std::vector<unsigned>> parse_levels(std::string_view text) {
  std::vector<unsigned> levels;
  for (;;) {
    const std::size_t comma = text.find(',');
    const auto level = parse_decimal(text.substr(0, comma));
    if (!level || *level > kMaxDumpLevel)
      return fail(ErrorCode::kBadData,
                  fmt::format("a dump level is a number from 0 to {}", kMaxDumpLevel));
    levels.push_back(static_cast<unsigned>(*level));
    if (comma == std::string_view::npos) return levels;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace hadump
