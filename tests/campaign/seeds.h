// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/base/text.h"

namespace hadump {

/// [begin, end)
struct Seeds {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// HADUMP_SEEDS=1000-6000 for a campaign, or 1234-1235 for the seed of a failure.
inline Seeds seeds(std::uint64_t by_default) {
  const Seeds few{0, by_default};
  const char* given = std::getenv("HADUMP_SEEDS");
  if (given == nullptr) return few;
  const std::string_view text = given;
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return few;
  const auto begin = parse_decimal(text.substr(0, dash));
  const auto end = parse_decimal(text.substr(dash + 1));
  return begin && end ? Seeds{*begin, *end} : few;
}

}  // namespace hadump
