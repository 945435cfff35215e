// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/bench/synthetic_core.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "core/base/elf_header.h"
#include "core/base/file.h"
#include "core/base/units.h"

namespace hadump {
namespace {

constexpr std::uint64_t kDataAt = 1_MiB;  // where physical address 0 is in the file
constexpr std::uint64_t kVmemmap = 0xFFFFEA0000000000, kKernelMap = 0xFFFFFFFF80000000;
constexpr std::uint64_t kSectionBytes = 128_MiB, kDistinct = 256, kStructBytes = 64;
constexpr std::uint64_t kTop = 0x1000000;  // physical; our structures follow
constexpr std::uint64_t kRoots = 0x2000000, kSectionStructs = 0x2100000, kArrays = 0x10000000;
constexpr std::uint64_t kSectionsPerRoot = 128;
constexpr std::uint64_t kSectionFrames = kSectionBytes / kFrameSize;

/// The struct pages of one section.
class PageArray {
 public:
  PageArray(std::uint64_t number, SyntheticMix mix)
      : random_(number), mix_(mix), keeps_some_(number == 0) {
    if (mix == SyntheticMix::kIdle)
      fill_idle();
    else
      fill_busy();
  }

  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(words_)); }
  std::uint64_t kept() const { return kept_; }

 private:
  static constexpr std::uint64_t kKeptStep = 64;

  std::uint64_t* page(std::uint64_t pfn) { return words_.data() + pfn * kStructBytes / 8; }

  void set_free(std::uint64_t pfn, unsigned order) {
    page(pfn)[6] = 0xFFFFFF7F;
    page(pfn)[5] = order;
  }

  void fill_idle() {
    constexpr unsigned kOrder = 10;
    for (std::uint64_t pfn = 0; pfn < 1U << kOrder; ++pfn) {
      if (keeps_some_ && pfn % kKeptStep == 0)
        fill_single(pfn, 0);
      else
        set_free(pfn, 0);
    }
    for (std::uint64_t pfn = 1U << kOrder; pfn < kSectionFrames; pfn += 1U << kOrder)
      set_free(pfn, kOrder);
  }

  /// Mostly single pages in short runs, some free and compound blocks.
  void fill_busy() {
    for (std::uint64_t pfn = 0; pfn < kSectionFrames;) {
      const std::uint64_t kind = random_() % 16;
      if (kind == 0 && pfn % 16 == 0) {  // a free block of 64 KiB
        set_free(pfn, 4);
        pfn += 16;
      } else if (kind == 1 && pfn % 8 == 0 && mix_ == SyntheticMix::kBusy) {
        fill_slab(pfn);
        pfn += 8;
      } else {
        const std::uint64_t end = std::min(pfn + 8, kSectionFrames);
        for (; pfn < end; ++pfn) fill_single(pfn, kind);
      }
    }
  }

  void fill_slab(std::uint64_t pfn) {  // of 8 pages
    page(pfn)[0] = (1 << 9) | (1 << 16);
    for (std::uint64_t tail = 1; tail < 8; ++tail) page(pfn + tail)[1] = 1;
    page(pfn + 1)[2] = 3 << 8;
    kept_ += 8;
  }

  /// Of the page cache, of user memory, or of the kernel.
  void fill_single(std::uint64_t pfn, std::uint64_t kind) {
    page(pfn)[6] = 0xFFFFFFFF;
    if (kind % 3 == 0 && (mix_ == SyntheticMix::kBusy || (keeps_some_ && pfn % kKeptStep == 0))) {
      ++kept_;
      return;
    }
    page(pfn)[0] = 1 << 4;
    if (kind % 3 != 2) page(pfn)[3] = 0xFFFF888000000001;
  }

  std::mt19937_64 random_;
  SyntheticMix mix_;
  bool keeps_some_;  ///< Of the mixes that keep hardly anything, only one array does: reading the
                     ///< holes of a sparse file is dear, and no part of what is measured.
  std::uint64_t kept_ = 0;
  std::vector<std::uint64_t> words_ = std::vector<std::uint64_t>(2_MiB / 8);
};

class SyntheticCore {
 public:
  SyntheticCore(int fd, std::uint64_t gibibytes, SyntheticMix mix)
      : fd_(fd), bytes_(gibibytes << 30), sections_(bytes_ / kSectionBytes), mix_(mix) {}

  /// @return the frames that are kept.
  std::uint64_t make() {
    if (::ftruncate(fd_, static_cast<off_t>(kDataAt + bytes_)) != 0) std::abort();
    write_headers();
    for (std::uint64_t at = 0; at < 64_MiB; at += 2_MiB) map(kKernelMap + at, at);
    for (std::uint64_t section = 0; section < sections_; ++section) {
      map(kVmemmap + section * 2_MiB, kArrays + section % kDistinct * 2_MiB);
      const std::uint64_t coded = kVmemmap | 0xF;
      put(kSectionStructs + section * 32, coded);
    }
    for (std::uint64_t root = 0; root <= sections_ / kSectionsPerRoot; ++root)
      put(kRoots + root * 8, kKernelMap + kSectionStructs + root * kFrameSize);
    std::uint64_t kept = 0;
    for (std::uint64_t i = 0; i < kDistinct; ++i) {
      const PageArray array(i, mix_);
      need(write_all_at(fd_, array.bytes(), kDataAt + kArrays + i * 2_MiB, "core"));
      kept += array.kept() * (sections_ / kDistinct + (i < sections_ % kDistinct ? 1 : 0));
    }
    return kept;
  }

 private:
  static void need(const Result<>& result) {
    if (!result) std::abort();
  }

  template <typename T>
  void put(std::uint64_t phys, const T& value) {
    need(write_all_at(fd_, std::as_bytes(std::span(&value, 1)), kDataAt + phys, "core"));
  }
  std::uint64_t get(std::uint64_t phys) const {
    std::uint64_t value = 0;
    need(
        read_exactly_at(fd_, std::as_writable_bytes(std::span(&value, 1)), kDataAt + phys, "core"));
    return value;
  }

  void map(std::uint64_t virt, std::uint64_t phys) {
    std::uint64_t table = kTop;
    for (unsigned shift = 39; shift > 21; shift -= 9) {
      const std::uint64_t entry = table + (virt >> shift) % 512 * 8;
      if (get(entry) == 0) put(entry, (next_table_ += kFrameSize) | 3);
      table = get(entry) & ~std::uint64_t{0xFFF};
    }
    put(table + (virt >> 21) % 512 * 8, phys | 0x83);
  }

  void write_headers() {
    const std::string info = fmt::format(
        "PAGESIZE=4096\nSYMBOL(init_top_pgt)={:x}\nNUMBER(phys_base)=0\nSIZE(page)=64\n"
        "OFFSET(page.flags)=0\nOFFSET(page.compound_head)=8\nOFFSET(page.mapping)=24\n"
        "OFFSET(page.private)=40\nOFFSET(page._mapcount)=48\nNUMBER(PG_lru)=4\n"
        "NUMBER(PG_private)=13\nNUMBER(PG_swapcache)=10\nNUMBER(PG_swapbacked)=19\n"
        "NUMBER(PG_slab)=9\nNUMBER(PG_hwpoison)=23\nNUMBER(PG_head_mask)=65536\n"
        "LENGTH(zone.free_area)=11\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n"
        "OFFSET(page.compound_dtor)=16\nOFFSET(page.compound_order)=17\n"
        "NUMBER(HUGETLB_PAGE_DTOR)=2\nSYMBOL(mem_section)={:x}\nLENGTH(mem_section)=4096\n"
        "SIZE(mem_section)=32\nOFFSET(mem_section.section_mem_map)=0\n"
        "NUMBER(SECTION_SIZE_BITS)=27\nNUMBER(MAX_PHYSMEM_BITS)=46\n",
        kKernelMap + kTop, kKernelMap + kRoots);
    struct {
      Elf64_Ehdr elf{};
      Elf64_Phdr segments[2]{};
      Elf64_Nhdr note{};
      char name[12] = "VMCOREINFO";
    } head;
    head.elf = make_elf_header(ET_CORE, 2);
    head.note.n_namesz = 11;
    head.note.n_descsz = static_cast<Elf64_Word>(info.size());
    constexpr std::uint64_t kNoteAt = sizeof head.elf + sizeof head.segments;
    head.segments[0].p_type = PT_NOTE;
    head.segments[0].p_offset = kNoteAt;
    head.segments[0].p_filesz = sizeof head.note + sizeof head.name + info.size();
    head.segments[1].p_type = PT_LOAD;
    head.segments[1].p_offset = kDataAt;
    head.segments[1].p_filesz = head.segments[1].p_memsz = bytes_;
    need(write_all_at(fd_, std::as_bytes(std::span(&head, 1)), 0, "core"));
    need(write_all_at(fd_, std::as_bytes(std::span(info)),
                      kNoteAt + sizeof head.note + sizeof head.name, "core"));
  }

  int fd_;
  std::uint64_t bytes_, sections_;
  SyntheticMix mix_;
  std::uint64_t next_table_ = kTop;
};

}  // namespace

Result<std::uint64_t> make_synthetic_core(const std::string& path, std::uint64_t gibibytes,
                                          SyntheticMix mix) {
  if (gibibytes == 0) return fail(ErrorCode::kBadData, "a machine without memory");
  auto fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (!fd) return fail(std::move(fd));
  return SyntheticCore(fd->get(), gibibytes, mix).make();
}

}  // namespace hadump
