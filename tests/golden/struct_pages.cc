// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/golden/struct_pages.h"

#include <bit>
#include <stdexcept>

namespace hadump::golden {
namespace {

template <typename T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().what());
  return std::move(*result);
}

}  // namespace

StructPages::StructPages(const VmcoreSource& source)
    : info_(value_of(Vmcoreinfo::parse(vmcoreinfo_text(source.layout())))) {
  space_ = value_of(AddressSpace::open(source, info_));
  size_ = info_.size("page").value_or(0);
  sections_ = value_of(SectionMap::load(*space_, info_, size_, source.layout().frames));
}

std::optional<GuestVirt> StructPages::address(std::uint64_t frame) const {
  const auto first = sections_.page_structs(sections_.section_of(Gfn{frame}));
  if (!first) return std::nullopt;
  return GuestVirt{first->value + frame % sections_.frames_per_section() * size_};
}

std::optional<PageWords> StructPages::at(std::uint64_t frame) const {
  const auto place = address(frame);
  if (!place) return std::nullopt;
  const auto word = [&](std::string_view name, auto& to) {
    auto offset = info_.offset(name);
    if (name == "page.compound_head" && !offset) offset = info_.offset("page.compound_info");
    return offset &&
           space_->read({place->value + *offset}, std::as_writable_bytes(std::span(&to, 1)));
  };
  PageWords words;
  if (!word("page.flags", words.flags) || !word("page.mapping", words.mapping) ||
      !word("page.compound_head", words.compound_head) || !word("page._mapcount", words.type))
    return std::nullopt;
  return words;
}

std::uint64_t StructPages::head_of(std::uint64_t frame) const {
  const auto words = at(frame);
  if (!words || !words->is_tail()) return frame;
  // The struct pages of all memory are one array (SPARSEMEM_VMEMMAP).
  const std::uint64_t own = address(frame)->value;
  std::uint64_t head = words->compound_head - 1;
  // Where a struct page's size is a power of two, compound_info is a mask for the tail's address
  // (set_compound_head() in include/linux/page-flags.h, v7.3): ones down to the size of the whole
  // block. No struct page lies that high.
  if (info_.offset("page.compound_info") && std::countl_one(head) > 32) head &= own;
  return frame - (own - head) / size_;
}

bool StructPages::has_flag(const PageWords& words, std::string_view name) const {
  const auto bit = info_.number(name);
  return bit && (words.flags >> *bit & 1) != 0;
}

bool StructPages::has_type(const PageWords& words, std::string_view name) const {
  const auto type = info_.number(name);
  return type && words.type == static_cast<std::uint32_t>(*type);
}

}  // namespace hadump::golden
