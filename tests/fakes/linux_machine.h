// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/fakes/in_memory_vmcore.h"

namespace hadump {

/// How the made-up kernel keeps its struct pages: what changed between versions.
enum class KernelStyle {
  k6_1,   ///< page.compound_order, page.compound_dtor, PG_slab, types as cleared bits
  k6_6,   ///< order and PG_hugetlb in the second page's flags
  k6_12,  ///< order in the second page's flags, types as numbers in the top byte
  k7_1,   ///< as 6.12, with compound_info for compound_head
};

struct MachineOptions {
  KernelStyle style = KernelStyle::k6_1;
  unsigned levels = 4;
  std::uint64_t sections = 4;      ///< Of 128 MiB, from physical address 0.
  std::uint64_t page_struct = 64;  ///< SIZE(page)
  bool large_vmemmap = true;       ///< Struct pages in 2 MiB mappings, else in 4 KiB ones.
  bool extreme = true;             ///< SPARSEMEM_EXTREME, else one array of sections.
  std::int64_t phys_base = 0x2000000;
  /// The struct pages of section s are at the begin of section s + this, modulo their number, and
  /// the page tables of its own come after them: 0 is memmap_on_memory. Unset: all of them are in
  /// the first section.
  std::optional<std::uint64_t> memmap_shift = {};
};

/// A crashed Linux in memory, made of what readers look at: page tables, section tables, struct
/// pages, VMCOREINFO, the printk ring. All of it can be damaged through `dump` and `info`.
///
/// Struct pages that were not set are zero: pages of unknown use, which are kept.
class LinuxMachine {
 public:
  static constexpr std::uint64_t kFramesPerSection = 32768;

  // Page flags by bit.
  static constexpr std::uint64_t kLru = 1 << 4, kSlab = 1 << 9, kSwapCache = 1 << 10,
                                 kPrivate = 1 << 13, kHead = 1 << 16, kSwapBacked = 1 << 19,
                                 kHwPoison = 1 << 23;
  static constexpr std::uint64_t kAnonMapping = 0xFFFF888000000001;

  explicit LinuxMachine(MachineOptions options);

  struct Page {
    std::uint64_t flags = 0;
    std::uint64_t mapping = 0;
    std::uint64_t private_data = 0;
    std::uint32_t mapcount = 0xFFFFFFFF;
  };
  LinuxMachine& set_page(std::uint64_t pfn, const Page& page);
  LinuxMachine& set_free_block(std::uint64_t pfn, std::uint64_t order);
  /// Head with `page`, and 2^order - 1 tails.
  LinuxMachine& set_compound(std::uint64_t pfn, unsigned order, Page page, bool hugetlb = false);
  LinuxMachine& set_offline(std::uint64_t pfn);
  /// The head of a block of the largest order that the machine has never accepted (TDX, SEV-SNP):
  /// a page type since v6.12.
  LinuxMachine& set_unaccepted(std::uint64_t pfn);
  LinuxMachine& set_slab(std::uint64_t pfn, std::uint64_t mapping);
  /// Raw bytes over the struct page of `pfn`, from `offset` on; may run into the next ones.
  LinuxMachine& put_page_bytes(std::uint64_t pfn, std::span<const std::byte> bytes,
                               std::uint64_t offset = 0);

  /// Takes the mapping of a section's struct pages away.
  LinuxMachine& unmap_section(std::uint64_t section);
  /// Replaces a section's section_mem_map.
  LinuxMachine& set_section_map(std::uint64_t section, std::uint64_t value);

  /// A record for the printk ring, in order.
  LinuxMachine& add_log(std::uint64_t timestamp_ns, const std::string& text);

  /// Maps 4 KiB, or 2 MiB, at a virtual address.
  void map(std::uint64_t virt, std::uint64_t phys, bool large = false);
  /// Writes through the mappings.
  void put(std::uint64_t virt, std::span<const std::byte> bytes);
  void put64(std::uint64_t virt, std::uint64_t value);

  /// Writes VMCOREINFO from `info`, and the ring; call it last, and again after changing `info`.
  InMemoryVmcore& finish();

  /// Where things are.
  std::uint64_t vmemmap() const { return vmemmap_; }
  Gfn frame_of_page_struct(std::uint64_t pfn) const;
  Gfn top_table() const { return Gfn{top_ >> kFrameShift}; }

  InMemoryVmcore dump;
  std::map<std::string, std::string> info;  ///< VMCOREINFO by key

 private:
  struct LogRecord {
    std::uint64_t timestamp_ns;
    std::string text;
  };

  std::uint64_t take_frames(std::uint64_t frames, std::uint64_t align = 1);
  std::uint64_t entry(std::uint64_t table, std::uint64_t index) const;
  void set_entry(std::uint64_t table, std::uint64_t index, std::uint64_t value);
  void describe_page_format();
  void make_sections();
  void map_struct_pages(std::uint64_t section);
  void make_log();

  MachineOptions options_;
  std::uint64_t next_frame_;  // of our own structures
  std::uint64_t top_ = 0;     // physical
  std::uint64_t vmemmap_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> tables_;  // (table, index)
  std::map<std::uint64_t, std::uint64_t> mapped_;                            // virt page -> phys
  std::vector<std::uint64_t> section_places_;                                // virt
  std::vector<LogRecord> log_;
};

}  // namespace hadump
