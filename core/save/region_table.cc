// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/region_table.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"

namespace hadump {
namespace {

// Above what the module can print: a hole and held memory in turn, and pieces of those.
constexpr std::size_t kMaxRegions = std::size_t{8} * HADUMP_MAX_RANGES;

constexpr std::array<std::string_view, 6> kStateNames{"window",   "held", "partial",
                                                      "released", "hole", "save-area"};

std::optional<RegionState> state_named(std::string_view name) {
  for (std::size_t i = 0; i < kStateNames.size(); ++i)
    if (kStateNames[i] == name) return static_cast<RegionState>(i);
  return std::nullopt;
}

std::string_view next_word(std::string_view& line) {
  const std::size_t end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return word;
}

Result<Region> parse_line(std::string_view line) {
  const std::string_view whole = line;
  const auto begin = parse_hex(next_word(line));
  const auto end = parse_hex(next_word(line));
  const auto state = state_named(line);
  if (!begin || !end || !state || *begin >= *end || !is_aligned(*begin, kFrameSize) ||
      !is_aligned(*end, kFrameSize))
    return fail(ErrorCode::kBadData, fmt::format("'{}' is not a region", whole));
  return Region{{frame_of({*begin}), frame_of({*end})}, *state};
}

}  // namespace

std::string_view to_string(RegionState state) {
  return kStateNames[static_cast<std::size_t>(state)];
}

Result<RegionTable> RegionTable::parse(std::string_view text) {
  std::vector<Region> regions;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    auto region = parse_line(text.substr(0, end));
    if (!region) return fail(std::move(region));
    if (!regions.empty() && region->range.begin < regions.back().range.end)
      return fail(ErrorCode::kBadData, "the regions overlap or do not ascend");
    if (regions.size() == kMaxRegions) return fail(ErrorCode::kBadData, "too many regions");
    regions.push_back(*region);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return RegionTable(std::move(regions));
}

FrameSet RegionTable::in_state(RegionState state) const {
  FrameSet frames;
  for (const Region& region : regions_)
    if (region.state == state) frames.insert(region.range);
  return frames;
}

}  // namespace hadump
