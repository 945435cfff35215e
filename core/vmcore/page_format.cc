// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/page_format.h"

#include <fmt/format.h>

namespace hadump {
namespace {

constexpr std::uint64_t kMappingAnon = 1;  // PAGE_MAPPING_ANON

tl::unexpected<Error> missing(std::string_view key) {
  return fail(ErrorCode::kNotFound, fmt::format("VMCOREINFO has no {}", key));
}

/// Offset of a member of `bytes` bytes in a struct page of `size`.
Result<std::uint16_t> member(const Vmcoreinfo& info, std::string_view name, std::uint64_t size,
                             std::uint64_t bytes) {
  const auto offset = info.offset(name);
  if (!offset) return missing(fmt::format("OFFSET({})", name));
  if (*offset > size || bytes > size - *offset)
    return fail(ErrorCode::kBadData,
                fmt::format("OFFSET({})={} in a structure of {} bytes", name, *offset, size));
  return static_cast<std::uint16_t>(*offset);
}

/// The mask of a page flag; 0 when this kernel has no such flag or the number is absurd.
std::uint64_t flag_mask(const Vmcoreinfo& info, std::string_view name) {
  const auto bit = info.number(name);
  return bit && *bit >= 0 && *bit < 64 ? std::uint64_t{1} << *bit : 0;
}

std::optional<std::uint32_t> page_type(const Vmcoreinfo& info, std::string_view name) {
  const auto value = info.number(name);
  if (!value) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

}  // namespace

Result<PageFormat> PageFormat::from(const Vmcoreinfo& info) {
  PageFormat format;
  const auto size = info.size("page");
  if (!size) return missing("SIZE(page)");
  if (*size < kMinPageStructBytes || *size > kMaxPageStructBytes || *size % 8 != 0)
    return fail(ErrorCode::kBadData, fmt::format("SIZE(page)={}", *size));
  format.size_ = static_cast<std::size_t>(*size);

  const auto place = [&](std::string_view name, std::uint16_t& to, std::uint64_t bytes) {
    auto offset = member(info, name, *size, bytes);
    if (!offset) return Result<>(fail(std::move(offset)));
    to = *offset;
    return Result<>();
  };
  if (auto r = place("page.flags", format.flags_, 8); !r) return fail(std::move(r));
  if (auto r = place("page._mapcount", format.mapcount_, 4); !r) return fail(std::move(r));
  if (auto r = place("page.mapping", format.mapping_, 8); !r) return fail(std::move(r));
  if (auto r = place("page.private", format.private_, 8); !r) return fail(std::move(r));
  const std::string_view tail_key =
      info.offset("page.compound_head") ? "page.compound_head" : "page.compound_info";
  if (auto r = place(tail_key, format.compound_head_, 8); !r) return fail(std::move(r));
  if (auto r = format.read_flag_bits(info); !r) return fail(std::move(r));
  if (auto r = format.read_compound_places(info); !r) return fail(std::move(r));
  return format;
}

Result<> PageFormat::read_flag_bits(const Vmcoreinfo& info) {
  lru_mask_ = flag_mask(info, "PG_lru");
  private_mask_ = flag_mask(info, "PG_private");
  swapcache_mask_ = flag_mask(info, "PG_swapcache");
  swapbacked_mask_ = flag_mask(info, "PG_swapbacked");
  slab_mask_ = flag_mask(info, "PG_slab");
  hwpoison_mask_ = flag_mask(info, "PG_hwpoison");
  slab_type_ = page_type(info, "PAGE_SLAB_MAPCOUNT_VALUE");
  // Without these, slab and anonymous memory, or private and other cache, look alike.
  if (lru_mask_ == 0) return missing("NUMBER(PG_lru)");
  if (private_mask_ == 0) return missing("NUMBER(PG_private)");
  if (slab_mask_ == 0 && !slab_type_) return missing("NUMBER(PG_slab)");

  head_mask_ = static_cast<std::uint64_t>(info.number("PG_head_mask").value_or(0));
  buddy_type_ = page_type(info, "PAGE_BUDDY_MAPCOUNT_VALUE");
  offline_type_ = page_type(info, "PAGE_OFFLINE_MAPCOUNT_VALUE");
  hugetlb_type_ = page_type(info, "PAGE_HUGETLB_MAPCOUNT_VALUE");
  unaccepted_type_ = page_type(info, "PAGE_UNACCEPTED_MAPCOUNT_VALUE");
  const std::uint64_t orders = info.length("zone.free_area").value_or(0);
  if (orders > kMaxBuddyOrders)
    return fail(ErrorCode::kBadData, fmt::format("LENGTH(zone.free_area)={}", orders));
  buddy_orders_ = static_cast<unsigned>(orders);
  return {};
}

Result<> PageFormat::read_compound_places(const Vmcoreinfo& info) {
  if (hugetlb_type_ || info.number("PG_hugetlb")) {
    order_in_flags_ = true;
    hugetlb_mask_ = hugetlb_type_ ? 0 : flag_mask(info, "PG_hugetlb");
    return {};
  }
  if (const auto dtor = info.number("HUGETLB_PAGE_DTOR"))
    hugetlb_dtor_ = static_cast<std::uint8_t>(*dtor);
  // folio members are counted from the head page, the others from the second.
  const auto place = [&](std::string_view folio, std::string_view page) -> std::uint16_t {
    std::uint64_t offset = ~std::uint64_t{0};
    if (const auto in_folio = info.offset(folio))
      offset = *in_folio - size_;
    else if (const auto in_page = info.offset(page))
      offset = *in_page;
    return offset < size_ ? static_cast<std::uint16_t>(offset) : kNone;
  };
  order_ = place("folio._folio_order", "page.compound_order");
  dtor_ = place("folio._folio_dtor", "page.compound_dtor");
  return {};
}

std::optional<unsigned> PageFormat::compound_order(const std::byte* next, std::uint64_t pfn) const {
  if (next == nullptr || !is_tail(next)) return std::nullopt;
  unsigned order = 0;
  if (order_in_flags_)
    order = static_cast<unsigned>(load<std::uint64_t>(next, flags_) & 0xFF);
  else if (order_ != kNone)
    order = load<std::uint8_t>(next, order_);
  if (order > kMaxCompoundOrder || !is_aligned(pfn, std::uint64_t{1} << order)) return std::nullopt;
  return order;
}

bool PageFormat::is_hugetlb(std::uint32_t mapcount, const std::byte* next) const {
  if (hugetlb_type_) return mapcount == *hugetlb_type_;
  if (hugetlb_mask_ != 0) return (load<std::uint64_t>(next, flags_) & hugetlb_mask_) != 0;
  return hugetlb_dtor_ && dtor_ != kNone && load<std::uint8_t>(next, dtor_) == *hugetlb_dtor_;
}

/// @param next  null unless the page heads a compound page.
PageClass PageFormat::class_of(std::uint64_t flags, std::uint32_t mapcount, std::uint64_t mapping,
                               const std::byte* next) const {
  if ((flags & hwpoison_mask_) != 0) return PageClass::kHardwarePoisoned;
  const bool slab = is_slab(flags, mapcount);
  const bool anonymous = (mapping & kMappingAnon) != 0 && !slab;
  const bool in_swap_cache =
      (swapbacked_mask_ == 0 || (flags & swapbacked_mask_) != 0) && (flags & swapcache_mask_) != 0;
  if (!anonymous && ((flags & lru_mask_) != 0 || in_swap_cache))
    return (flags & private_mask_) != 0 ? PageClass::kCachePrivate : PageClass::kCacheNonPrivate;
  if (anonymous || (next != nullptr && is_hugetlb(mapcount, next))) return PageClass::kUser;
  if (offline_type_ && mapcount == *offline_type_ && !slab) return PageClass::kOffline;
  return PageClass::kKeep;
}

PageFormat::Verdict PageFormat::judge(const std::byte* page, const std::byte* next,
                                      std::uint64_t pfn) const {
  // Of a compound page whose head is elsewhere, or damaged.
  if (is_tail(page)) return {is_poisoned(page) ? PageClass::kHardwarePoisoned : PageClass::kKeep};
  const auto flags = load<std::uint64_t>(page, flags_);
  const auto mapcount = load<std::uint32_t>(page, mapcount_);
  if (buddy_type_ && mapcount == *buddy_type_ && !is_slab(flags, mapcount)) {
    const auto order = load<std::uint64_t>(page, private_);
    if (order >= buddy_orders_ || !is_aligned(pfn, std::uint64_t{1} << order))
      return {PageClass::kKeep, 1, true};
    return {PageClass::kFree, std::uint32_t{1} << order, false};
  }
  if (unaccepted_type_ && mapcount == *unaccepted_type_ && buddy_orders_ > 0) {
    const std::uint32_t frames = std::uint32_t{1} << (buddy_orders_ - 1);
    if (is_aligned(pfn, frames)) return {PageClass::kFree, frames, false};
    return {PageClass::kKeep, 1, true};
  }
  const auto mapping = load<std::uint64_t>(page, mapping_);
  if ((flags & head_mask_) == 0) return {class_of(flags, mapcount, mapping, nullptr), 1, false};
  const auto order = compound_order(next, pfn);
  if (!order) return {PageClass::kKeep, 1, true};
  return {class_of(flags, mapcount, mapping, next), std::uint32_t{1} << *order, false};
}

}  // namespace hadump
