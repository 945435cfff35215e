// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/page_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>
#include <string_view>

namespace hadump {
namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
  if (is_hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, is_hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// Nothing for a line without a page.
Result<std::optional<ListedRun>> parse_line(const std::string& line) {
  std::istringstream words(line.substr(0, line.find('#')));
  std::string address, pages, more;
  if (!(words >> address)) return std::optional<ListedRun>();
  const auto start = parse_number(address);
  const auto count = words >> pages ? parse_number(pages) : std::nullopt;
  if (!start || !count || words >> more)
    return fail(ErrorCode::kBadData, "not ADDRESS PAGES: '" + line + "'");
  if (!is_aligned(*start, kFrameSize))
    return fail(ErrorCode::kBadData, fmt::format("{} is inside a page", address));
  const std::uint64_t behind = (UINT64_MAX >> kFrameShift) - (*start >> kFrameShift) + 1;
  if (*count > std::min(behind, kMaxListedPages))
    return fail(ErrorCode::kBadData, fmt::format("{} pages are too many", pages));
  return std::optional(ListedRun{{*start}, *count});
}

// Sorted first: a list is in the order of virtual addresses, if in any.
FrameSet set_of(std::vector<Gfn> frames) {
  std::sort(frames.begin(), frames.end());
  FrameSet set;
  for (Gfn gfn : frames) set.insert({gfn, Gfn{gfn.value + 1}});
  return set;
}

}  // namespace

Result<std::vector<ListedRun>> parse_page_list(const std::string& text) {
  std::vector<ListedRun> list;
  std::istringstream lines(text);
  std::string line;
  std::uint64_t total = 0;
  for (unsigned number = 1; std::getline(lines, line); ++number) {
    auto run = parse_line(line);
    if (!run) return fail(std::move(run), fmt::format("line {}", number));
    if (!*run) continue;
    total += (*run)->pages;
    if (total > kMaxListedPages)
      return fail(ErrorCode::kBadData,
                  fmt::format("line {}: more than {} pages", number, kMaxListedPages));
    list.push_back(**run);
  }
  if (total == 0) return fail(ErrorCode::kBadData, "no pages are listed");
  return list;
}

ListedPages find_listed_pages(const AddressSpace& space, const std::vector<ListedRun>& list) {
  ListedPages found;
  PageTableWalker walker = space.walker();
  std::vector<Gfn> frames;
  for (const ListedRun& run : list)
    for (std::uint64_t i = 0; i < run.pages; ++i) {
      const auto page = walker.translate({run.start.value + (i << kFrameShift)});
      ++found.asked;
      if (page)
        frames.push_back(frame_of(page->phys));
      else
        ++found.unmapped;
      // Neighbours share their tables.
      for (Gfn table : walker.tables())
        if (!found.frames.contains(table)) found.frames.insert({table, Gfn{table.value + 1}});
    }
  found.frames.insert(set_of(std::move(frames)));
  return found;
}

}  // namespace hadump
