// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/golden/causes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "core/vmcore/page_filter.h"

namespace hadump::golden {
namespace {

constexpr unsigned kFirstThatKnows = 1'007'006, kFirstWithCompoundInfo = 1'008'000;
constexpr unsigned kLevelCache = 2, kLevelCachePrivate = 4, kLevelUser = 8;

}  // namespace

Causes::Causes(const VmcoreSource& sample, unsigned makedumpfile)
    : pages_(sample),
      knows_new_kernels_(makedumpfile >= kFirstThatKnows),
      knows_tails_(pages_.info().offset("page.compound_head") ||
                   makedumpfile >= kFirstWithCompoundInfo),
      order_in_flags_(!pages_.info().offset("page.compound_order") &&
                      !pages_.info().offset("folio._folio_order")) {
  for (const LoadSegment& segment : sample.layout().segments) {
    const std::uint64_t end = segment.phys.value + segment.memory_bytes;
    if (end % kFrameSize != 0) partial_.insert({frame_of({end}), Gfn{frame_of({end}).value + 1}});
  }
}

bool Causes::is_partial(std::uint64_t frame) const {
  return partial_.contains(Gfn{frame});
}

bool Causes::leaves_out_folio(std::uint64_t head, std::uint64_t frame, unsigned level) const {
  const auto words = pages_.at(head), next = pages_.at(head + 1);
  if (!words || !next || words->is_tail() || !next->is_tail()) return false;
  // PG_head_mask is a mask, not a bit. The order is in the low byte of the second page's flags
  // (v6.6, ebc1baf5c9b4 "mm: free up a word in the first tail page").
  const auto head_mask =
      static_cast<std::uint64_t>(pages_.info().number("PG_head_mask").value_or(0));
  const std::uint64_t order = next->flags & 0xFF;
  if ((words->flags & head_mask) == 0 || order > 18 || frame >= head + (std::uint64_t{1} << order))
    return false;
  if (words->looks_anonymous() || pages_.has_type(*words, "PAGE_HUGETLB_MAPCOUNT_VALUE"))
    return (level & kLevelUser) != 0;
  if (!pages_.has_flag(*words, "PG_lru")) return false;
  const bool has_private = pages_.has_flag(*words, "PG_private");
  return (level & kLevelCachePrivate) != 0 || (!has_private && (level & kLevelCache) != 0);
}

const char* Causes::of_ours(const Difference& difference, const PageWords& words) const {
  const bool slab =
      pages_.has_type(words, "PAGE_SLAB_MAPCOUNT_VALUE") && !pages_.has_flag(words, "PG_slab");
  const bool user = words.looks_anonymous() && (difference.level & kLevelUser) != 0;
  if (slab && user && !knows_new_kernels_) return "slab";
  return words.is_tail() && user && !knows_tails_ ? "tail" : nullptr;
}

const char* Causes::of_theirs(const Difference& difference, const PageWords& words) const {
  if ((knows_new_kernels_ && knows_tails_) || !order_in_flags_) return nullptr;
  const std::uint64_t head = pages_.head_of(difference.frame);
  if (!leaves_out_folio(head, difference.frame, difference.level)) return nullptr;
  if (words.is_tail()) return "folio";
  return pages_.has_type(words, "PAGE_HUGETLB_MAPCOUNT_VALUE") ? "hugetlb" : nullptr;
}

const char* Causes::of(const Difference& difference) const {
  if (difference.ours && is_partial(difference.frame)) return "partial";
  const auto words = pages_.at(difference.frame);
  if (!words) return nullptr;
  return difference.ours ? of_ours(difference, *words) : of_theirs(difference, *words);
}

std::string Causes::describe(std::uint64_t frame) const {
  const auto text = [this](std::uint64_t page) {
    const auto words = pages_.at(page);
    if (!words) return fmt::format("{:#x}: no struct page", page);
    return fmt::format("{:#x}: flags {:#x} mapping {:#x} compound_head {:#x} type {:#x}", page,
                       words->flags, words->mapping, words->compound_head, words->type);
  };
  const std::uint64_t head = pages_.head_of(frame);
  return head == frame ? text(frame) : text(frame) + ", head " + text(head);
}

unsigned version_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_of("0123456789"), text.size()));
  std::array<unsigned, 3> parts{};
  for (unsigned& part : parts) {
    const auto end = std::from_chars(text.data(), text.data() + text.size(), part).ptr;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty() || text.front() != '.') break;
    text.remove_prefix(1);
  }
  return parts[0] * 1'000'000 + parts[1] * 1'000 + parts[2];
}

}  // namespace hadump::golden
