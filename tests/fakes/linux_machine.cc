// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fakes/linux_machine.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

namespace hadump {
namespace {

constexpr std::uint64_t kKernelMap = 0xFFFFFFFF80000000;
constexpr std::uint64_t kData = 0xFFFFFFFF82000000;  // where our kernel's data is mapped
constexpr std::uint64_t kUts = kData, kPrb = kData + 0x1000, kSectionTable = kData + 0x10000,
                        kSections = kData + 0x20000, kLog = kData + 0x40000;
constexpr std::uint64_t kDirectMap = 0xFFFF888000000000;
constexpr std::uint64_t kPresent = 0x3, kLarge = 0x80;
constexpr std::uint64_t kSectionBytes = 32;
constexpr std::uint64_t kMaxSections4Level = std::uint64_t{1} << (46 - 27);
constexpr std::uint64_t kMaxSections5Level = std::uint64_t{1} << (52 - 27);
constexpr std::uint64_t kLogCountBits = 5, kLogSizeBits = 12;
constexpr const char* kRelease = "6.1.0-test";

// struct page: offsets as in Debian's kernels.
constexpr std::uint64_t kFlags = 0, kCompoundHead = 8, kMapping = 24, kPrivateData = 40,
                        kMapcount = 48, kDtor = 16, kOrder = 17;

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

LinuxMachine::LinuxMachine(MachineOptions options)
    : dump(FrameSet{{Gfn{0}, Gfn{options.sections * kFramesPerSection}}}),
      options_(options),
      next_frame_(0x4000),
      vmemmap_(options.levels == 5 ? 0xFFD4000000000000 : 0xFFFFEA0000000000) {
  // Only struct pages of 64 bytes fill large pages of their own.
  if (options_.memmap_shift && options_.page_struct != 64) options_.large_vmemmap = false;
  // The top table stands at a virtual address of the kernel's image, reached by phys_base.
  top_ = take_frames(1);
  const std::uint64_t top_virt = top_ - static_cast<std::uint64_t>(options.phys_base) + kKernelMap;
  info["OSRELEASE"] = kRelease;
  info["PAGESIZE"] = "4096";
  info["SYMBOL(init_top_pgt)"] = fmt::format("{:x}", top_virt);
  info["NUMBER(phys_base)"] = fmt::format("{}", options.phys_base);
  info["NUMBER(pgtable_l5_enabled)"] = options.levels == 5 ? "1" : "0";
  info["SYMBOL(init_uts_ns)"] = fmt::format("{:x}", kUts);
  info["OFFSET(uts_namespace.name)"] = "4";
  const std::uint64_t data = take_frames(0x80);
  for (std::uint64_t i = 0; i < 0x80; ++i) map(kData + i * kFrameSize, data + i * kFrameSize);
  put(kUts + 4 + 2 * 65, std::as_bytes(std::span(kRelease, std::strlen(kRelease) + 1)));
  if (options.levels == 4) map(kDirectMap, 0, true);
  describe_page_format();
  make_sections();
}

std::uint64_t LinuxMachine::take_frames(std::uint64_t frames, std::uint64_t align) {
  next_frame_ = round_up(next_frame_, align);
  const std::uint64_t at = next_frame_ << kFrameShift;
  next_frame_ += frames;
  return at;
}

std::uint64_t LinuxMachine::entry(std::uint64_t table, std::uint64_t index) const {
  const auto found = tables_.find({table, index});
  return found == tables_.end() ? 0 : found->second;
}

void LinuxMachine::set_entry(std::uint64_t table, std::uint64_t index, std::uint64_t value) {
  tables_[{table, index}] = value;
  dump.put(GuestPhys{table + index * 8}, bytes_of(value));
}

void LinuxMachine::map(std::uint64_t virt, std::uint64_t phys, bool large) {
  std::uint64_t table = top_;
  const unsigned last = large ? 2 : 1;
  for (unsigned level = options_.levels; level > last; --level) {
    const std::uint64_t index = (virt >> (kFrameShift + 9 * (level - 1))) % 512;
    if (entry(table, index) == 0) set_entry(table, index, take_frames(1) | kPresent);
    table = entry(table, index) & ~std::uint64_t{0xFFF};
  }
  set_entry(table, (virt >> (kFrameShift + 9 * (last - 1))) % 512,
            phys | kPresent | (large ? kLarge : 0));
  for (std::uint64_t at = 0; at < (large ? 2_MiB : kFrameSize); at += kFrameSize)
    mapped_[virt + at] = phys + at;
}

void LinuxMachine::put(std::uint64_t virt, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t skip = virt % kFrameSize;
    const std::size_t part = std::min<std::size_t>(bytes.size(), kFrameSize - skip);
    dump.put(GuestPhys{mapped_.at(virt - skip) + skip}, bytes.first(part));
    bytes = bytes.subspan(part);
    virt += part;
  }
}

void LinuxMachine::put64(std::uint64_t virt, std::uint64_t value) {
  put(virt, bytes_of(value));
}

void LinuxMachine::describe_page_format() {
  info["SIZE(page)"] = fmt::format("{}", options_.page_struct);
  info["OFFSET(page.flags)"] = "0";
  info["OFFSET(page.mapping)"] = "24";
  info["OFFSET(page.private)"] = "40";
  info["OFFSET(page._mapcount)"] = "48";
  const bool renamed = options_.style == KernelStyle::k7_1;
  info[renamed ? "OFFSET(page.compound_info)" : "OFFSET(page.compound_head)"] = "8";
  info["LENGTH(zone.free_area)"] = "11";
  info["NUMBER(PG_lru)"] = "4";
  info["NUMBER(PG_private)"] = "13";
  info["NUMBER(PG_swapcache)"] = "10";
  info["NUMBER(PG_swapbacked)"] = "19";
  info["NUMBER(PG_hwpoison)"] = "23";
  info["NUMBER(PG_head_mask)"] = "65536";
  if (options_.style == KernelStyle::k6_1) {
    info["OFFSET(page.compound_dtor)"] = "16";
    info["OFFSET(page.compound_order)"] = "17";
    info["NUMBER(HUGETLB_PAGE_DTOR)"] = "2";
  }
  if (options_.style == KernelStyle::k6_6) info["NUMBER(PG_hugetlb)"] = "8";
  if (options_.style == KernelStyle::k6_1 || options_.style == KernelStyle::k6_6) {
    info["NUMBER(PG_slab)"] = "9";
    info["NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)"] = "-129";
    info["NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)"] = "-257";
  } else {
    info["NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)"] = "4026531840";       // 0xf0 << 24
    info["NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)"] = "4043309056";     // 0xf1 << 24
    info["NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)"] = "4093640704";     // 0xf4 << 24
    info["NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)"] = "4110417920";        // 0xf5 << 24
    info["NUMBER(PAGE_UNACCEPTED_MAPCOUNT_VALUE)"] = "4143972352";  // 0xf7 << 24
  }
}

void LinuxMachine::make_sections() {
  const std::uint64_t all = options_.levels == 5 ? kMaxSections5Level : kMaxSections4Level;
  const std::uint64_t per_root = kFrameSize / kSectionBytes;
  info["SYMBOL(mem_section)"] = fmt::format("{:x}", options_.extreme ? kSectionTable : kSections);
  info["LENGTH(mem_section)"] = fmt::format("{}", options_.extreme ? all / per_root : all);
  info["SIZE(mem_section)"] = fmt::format("{}", kSectionBytes);
  info["OFFSET(mem_section.section_mem_map)"] = "0";
  info["NUMBER(SECTION_SIZE_BITS)"] = "27";
  info["NUMBER(MAX_PHYSMEM_BITS)"] = options_.levels == 5 ? "52" : "46";
  for (std::uint64_t section = 0; section < options_.sections; ++section) {
    if (options_.extreme)
      put64(kSectionTable + section / per_root * 8, kSections + section / per_root * kFrameSize);
    section_places_.push_back(kSections + section * kSectionBytes);
    put64(section_places_.back(), vmemmap_ | 0xF);
    map_struct_pages(section);
  }
}

void LinuxMachine::map_struct_pages(std::uint64_t section) {
  const std::uint64_t bytes = kFramesPerSection * options_.page_struct;
  const std::uint64_t virt = vmemmap_ + section * bytes;
  const std::uint64_t step = options_.large_vmemmap ? 2_MiB : kFrameSize;
  if (options_.memmap_shift) {
    const std::uint64_t where = (section + *options_.memmap_shift) % options_.sections;
    const std::uint64_t others = std::exchange(next_frame_, where * kFramesPerSection);
    const std::uint64_t place = take_frames(bytes >> kFrameShift);
    for (std::uint64_t at = 0; at < bytes; at += step)
      map(virt + at, place + at, options_.large_vmemmap);
    next_frame_ = others;
    return;
  }
  const std::uint64_t first = round_down(virt, step);
  for (std::uint64_t at = first; at < virt + bytes; at += step)
    if (!mapped_.contains(at))
      map(at, take_frames(step / kFrameSize, step / kFrameSize), options_.large_vmemmap);
}

LinuxMachine& LinuxMachine::put_page_bytes(std::uint64_t pfn, std::span<const std::byte> bytes,
                                           std::uint64_t offset) {
  put(vmemmap_ + pfn * options_.page_struct + offset, bytes);
  return *this;
}

LinuxMachine& LinuxMachine::set_page(std::uint64_t pfn, const Page& page) {
  put_page_bytes(pfn, bytes_of(page.flags), kFlags);
  put_page_bytes(pfn, bytes_of(page.mapping), kMapping);
  put_page_bytes(pfn, bytes_of(page.private_data), kPrivateData);
  return put_page_bytes(pfn, bytes_of(page.mapcount), kMapcount);
}

LinuxMachine& LinuxMachine::set_free_block(std::uint64_t pfn, std::uint64_t order) {
  const bool numbered = options_.style >= KernelStyle::k6_12;
  return set_page(pfn, {0, 0, order, numbered ? 0xF0000000U : static_cast<std::uint32_t>(-129)});
}

LinuxMachine& LinuxMachine::set_offline(std::uint64_t pfn) {
  const bool numbered = options_.style >= KernelStyle::k6_12;
  return set_page(pfn, {0, 0, 0, numbered ? 0xF1000000U : static_cast<std::uint32_t>(-257)});
}

LinuxMachine& LinuxMachine::set_unaccepted(std::uint64_t pfn) {
  return set_page(pfn, {0, 0, 0, 0xF7000000});
}

LinuxMachine& LinuxMachine::set_slab(std::uint64_t pfn, std::uint64_t mapping) {
  if (options_.style >= KernelStyle::k6_12) return set_page(pfn, {0, mapping, 0, 0xF5000000U});
  return set_page(pfn, {kSlab, mapping, 0, 0xFFFFFFFFU});
}

LinuxMachine& LinuxMachine::set_compound(std::uint64_t pfn, unsigned order, Page page,
                                         bool hugetlb) {
  page.flags |= kHead;
  if (hugetlb && options_.style >= KernelStyle::k6_12) page.mapcount = 0xF4000000U;
  set_page(pfn, page);
  const std::uint64_t head = (vmemmap_ + pfn * options_.page_struct) | 1;
  for (std::uint64_t tail = pfn + 1; tail < pfn + (std::uint64_t{1} << order); ++tail)
    put_page_bytes(tail, bytes_of(head), kCompoundHead);
  if (options_.style == KernelStyle::k6_1) {
    const std::uint8_t dtor = hugetlb ? 2 : 1, order_byte = static_cast<std::uint8_t>(order);
    put_page_bytes(pfn + 1, bytes_of(dtor), kDtor);
    return put_page_bytes(pfn + 1, bytes_of(order_byte), kOrder);
  }
  std::uint64_t flags = order;
  if (hugetlb && options_.style == KernelStyle::k6_6) flags |= 1 << 8;
  return put_page_bytes(pfn + 1, bytes_of(flags), kFlags);
}

LinuxMachine& LinuxMachine::unmap_section(std::uint64_t section) {
  const std::uint64_t bytes = kFramesPerSection * options_.page_struct;
  const std::uint64_t virt = vmemmap_ + section * bytes;
  const unsigned last = options_.large_vmemmap ? 2 : 1;
  for (std::uint64_t at = virt; at < virt + bytes; at += options_.large_vmemmap ? 2_MiB : 4_KiB) {
    std::uint64_t table = top_;
    for (unsigned level = options_.levels; level > last; --level)
      table = entry(table, (at >> (kFrameShift + 9 * (level - 1))) % 512) & ~std::uint64_t{0xFFF};
    set_entry(table, (at >> (kFrameShift + 9 * (last - 1))) % 512, 0);
  }
  return *this;
}

LinuxMachine& LinuxMachine::set_section_map(std::uint64_t section, std::uint64_t value) {
  put64(section_places_.at(section), value);
  return *this;
}

Gfn LinuxMachine::frame_of_page_struct(std::uint64_t pfn) const {
  const std::uint64_t virt = vmemmap_ + pfn * options_.page_struct;
  return Gfn{mapped_.at(round_down(virt, kFrameSize)) >> kFrameShift};
}

LinuxMachine& LinuxMachine::add_log(std::uint64_t timestamp_ns, const std::string& text) {
  log_.push_back({timestamp_ns, text});
  return *this;
}

// Structures with round sizes: descriptors of 24 bytes, infos of 32, the ring's top of 128.
void LinuxMachine::make_log() {
  const std::uint64_t top = kLog, descs = kLog + 0x1000, infos = kLog + 0x2000,
                      text = kLog + 0x3000;
  const char* const keys[][2] = {{"SIZE(printk_ringbuffer)", "128"},
                                 {"OFFSET(printk_ringbuffer.desc_ring)", "0"},
                                 {"OFFSET(printk_ringbuffer.text_data_ring)", "64"},
                                 {"OFFSET(prb_desc_ring.count_bits)", "0"},
                                 {"OFFSET(prb_desc_ring.descs)", "8"},
                                 {"OFFSET(prb_desc_ring.infos)", "16"},
                                 {"OFFSET(prb_desc_ring.head_id)", "24"},
                                 {"OFFSET(prb_desc_ring.tail_id)", "32"},
                                 {"SIZE(prb_desc)", "24"},
                                 {"OFFSET(prb_desc.state_var)", "0"},
                                 {"OFFSET(prb_desc.text_blk_lpos)", "8"},
                                 {"OFFSET(prb_data_blk_lpos.begin)", "0"},
                                 {"OFFSET(prb_data_blk_lpos.next)", "8"},
                                 {"SIZE(printk_info)", "32"},
                                 {"OFFSET(printk_info.ts_nsec)", "8"},
                                 {"OFFSET(printk_info.text_len)", "16"},
                                 {"OFFSET(prb_data_ring.size_bits)", "0"},
                                 {"OFFSET(prb_data_ring.data)", "8"},
                                 {"OFFSET(atomic_long_t.counter)", "0"}};
  for (const auto& [key, value] : keys) info.try_emplace(key, value);
  info.try_emplace("SYMBOL(prb)", fmt::format("{:x}", kPrb));
  put64(kPrb, top);
  put64(top, kLogCountBits);
  put64(top + 8, descs);
  put64(top + 16, infos);
  put64(top + 64, kLogSizeBits);
  put64(top + 72, text);
  // The ring is at its second turn, as on a machine that has run for a while.
  const std::uint64_t first_id = 1 << kLogCountBits;
  put64(top + 32, first_id);
  put64(top + 24, first_id + (log_.empty() ? 0 : log_.size() - 1));
  std::uint64_t at = 0;
  for (std::uint64_t i = 0; i < log_.size(); ++i) {
    const std::uint64_t slot = i % (1 << kLogCountBits), id = first_id + i;
    const std::uint64_t next = at + 8 + round_up(log_[i].text.size(), 8);
    put64(descs + slot * 24, (std::uint64_t{2} << 62) | id);
    put64(descs + slot * 24 + 8, at);
    put64(descs + slot * 24 + 16, next);
    put64(infos + slot * 32 + 8, log_[i].timestamp_ns);
    put64(infos + slot * 32 + 16, log_[i].text.size());
    put64(text + at, id);
    put(text + at + 8, std::as_bytes(std::span(log_[i].text)));
    at = next;
  }
}

InMemoryVmcore& LinuxMachine::finish() {
  make_log();
  std::string text;
  for (const auto& [key, value] : info) text += fmt::format("{}={}\n", key, value);
  dump.set_vmcoreinfo(text);
  return dump;
}

}  // namespace hadump
