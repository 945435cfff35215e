// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "core/vmcore/page_filter.h"
#include "core/vmcore/vmcoreinfo.h"

namespace hadump {

inline constexpr std::uint64_t kMinPageStructBytes = 40;
inline constexpr std::uint64_t kMaxPageStructBytes = 512;
/// 1 GiB, the largest page that x86-64 has. What claims more is damaged.
inline constexpr unsigned kMaxCompoundOrder = 18;
/// Orders of the buddy allocator: 11 in every Debian kernel, some more where it is configured so.
inline constexpr unsigned kMaxBuddyOrders = 19;

/// Where this kernel keeps what in its struct page, and how to tell from it what a page is for.
/// The meanings are makedumpfile's (__exclude_unnecessary_pages); the kernel changes that matter:
///
///   compound order   page[1].compound_order; folio._folio_order (v6.3, 1c5509be58f6 "mm: remove
///                    'First tail page' members from struct page"); low byte of page[1].flags
///                    (v6.6, ebc1baf5c9b4 "mm: free up a word in the first tail page")
///   hugetlb          page[1].compound_dtor; PG_hugetlb in page[1].flags (v6.6, 9c5ccf2db04b "mm:
///                    remove HUGETLB_PAGE_DTOR"); a page type (v6.9, d99e3140a4d3 "mm: turn
///                    folio_test_hugetlb into a PageType")
///   slab             PG_slab; a page type (v6.10, 46df8e73a4a3 "mm: free up PG_slab")
///   page types       bits cleared in _mapcount; a number in its top byte (v6.12, 4ffca5a96678c
///                    "mm: support only one page_type per page"): in both, the value to compare
///                    with is in VMCOREINFO
///   tail mark        page.compound_head; page.compound_info (v7.1, d50569612c29 "mm: rename the
///                    'compound_head' field in the 'struct page' to 'compound_info'"): bit 0 in
///                    both, the rest differs and is not used here
class PageFormat {
 public:
  /// @return kNotFound naming the first key that is missing; kBadData for an offset outside the
  ///         structure or sizes beyond the limits above.
  static Result<PageFormat> from(const Vmcoreinfo& info);

  /// Bytes of one struct page.
  std::size_t size() const { return size_; }

  /// Frames of the largest block that the buddy allocator has.
  std::uint64_t largest_free_block() const {
    return std::uint64_t{1} << (buddy_orders_ > 0 ? buddy_orders_ - 1 : 0);
  }

  /// What one struct page, and for a compound page its successor, say. Of a block's other pages
  /// each may still be poisoned.
  struct Verdict {
    PageClass page_class = PageClass::kKeep;
    std::uint32_t frames = 1;  ///< Of the block that begins here and is all of this class.
    bool damaged = false;      ///< An impossible order: kept, and worth counting.
  };

  /// @param page  [size()] bytes.
  /// @param next  the following struct page, or null where there is none at hand.
  /// @param pfn   the frame that `page` describes.
  Verdict judge(const std::byte* page, const std::byte* next, std::uint64_t pfn) const;

  bool is_tail(const std::byte* page) const {
    return compound_head_ != kNone && (load<std::uint64_t>(page, compound_head_) & 1) != 0;
  }
  bool is_poisoned(const std::byte* page) const {
    return (load<std::uint64_t>(page, flags_) & hwpoison_mask_) != 0;
  }
  bool is_head(const std::byte* page) const {
    return (load<std::uint64_t>(page, flags_) & head_mask_) != 0;
  }

 private:
  static constexpr std::uint16_t kNone = 0xFFFF;

  template <typename T>
  static T load(const std::byte* page, std::uint16_t offset) {
    T value;
    std::memcpy(&value, page + offset, sizeof value);
    return value;
  }
  Result<> read_flag_bits(const Vmcoreinfo& info);
  Result<> read_compound_places(const Vmcoreinfo& info);
  /// 0 for no compound page; nullopt for an impossible one.
  std::optional<unsigned> compound_order(const std::byte* next, std::uint64_t pfn) const;
  PageClass class_of(std::uint64_t flags, std::uint32_t mapcount, std::uint64_t mapping,
                     const std::byte* next) const;
  bool is_slab(std::uint64_t flags, std::uint32_t mapcount) const {
    return (flags & slab_mask_) != 0 || (slab_type_ && mapcount == *slab_type_);
  }
  bool is_hugetlb(std::uint32_t mapcount, const std::byte* next) const;

  std::size_t size_ = 0;
  std::uint16_t flags_ = kNone, mapcount_ = kNone, mapping_ = kNone, private_ = kNone;
  std::uint16_t compound_head_ = kNone;
  /// In the second struct page of a compound page; kNone where the order is in its flags.
  std::uint16_t order_ = kNone, dtor_ = kNone;
  bool order_in_flags_ = false;
  std::uint64_t lru_mask_ = 0, private_mask_ = 0, swapcache_mask_ = 0, swapbacked_mask_ = 0;
  std::uint64_t slab_mask_ = 0, hwpoison_mask_ = 0, head_mask_ = 0, hugetlb_mask_ = 0;
  std::optional<std::uint8_t> hugetlb_dtor_;
  std::optional<std::uint32_t> buddy_type_, offline_type_, hugetlb_type_, slab_type_,
      unaccepted_type_;
  unsigned buddy_orders_ = 0;
};

}  // namespace hadump
