// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/page_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "core/base/text.h"

namespace hadump {
namespace {

Result<std::uint64_t> parse_number(const std::string& text) {
  return text.starts_with("0x") ? parse_hex(text) : parse_decimal(text);
}

// Nothing for a line without a page.
Result<std::optional<ListedRun>> parse_line(const std::string& line) {
  std::istringstream words(line.substr(0, line.find('#')));
  std::string address, pages, more;
  if (!(words >> address)) return std::optional<ListedRun>();
  const auto start = parse_number(address);
  words >> pages;
  const auto count = parse_number(pages);
  if (!start || !count || words >> more)
    return fail(ErrorCode::kBadData, "a line is an address and a number of pages");
  if (!is_aligned(*start, kFrameSize))
    return fail(ErrorCode::kBadData, fmt::format("{} is inside a page", address));
  const std::uint64_t behind = (UINT64_MAX >> kFrameShift) - (*start >> kFrameShift) + 1;
  if (*count > std::min(behind, kMaxListedPages))
    return fail(ErrorCode::kBadData, fmt::format("{} pages are too many", pages));
  return std::optional(ListedRun{{*start}, *count});
}

// Sorted first: the guest decides where its pages are, and a list has them in any order.
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
  std::vector<Gfn> path;  // of the page before: neighbours share their tables
  for (const ListedRun& run : list)
    for (std::uint64_t i = 0; i < run.pages; ++i) {
      const auto page = walker.translate({run.start.value + (i << kFrameShift)});
      ++found.asked;
      if (page)
        frames.push_back(frame_of(page->phys));
      else
        ++found.unmapped;
      const auto tables = walker.tables();
      if (std::equal(tables.begin(), tables.end(), path.begin(), path.end())) continue;
      path.assign(tables.begin(), tables.end());
      frames.insert(frames.end(), path.begin(), path.end());
    }
  found.frames = set_of(std::move(frames));
  return found;
}

}  // namespace hadump
