// Classification of a machine of any size: makes a sparse ELF core whose struct pages are generated
// and classifies all of it. Usage: classify_bench FILE TEBIBYTES [THREADS]
//
// The struct pages are kDistinct blocks of 2 MiB, used in turn, so that more memory is read than
// any cache holds. Prints seconds per TiB of (made-up) memory and the peak resident size.

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "core/base/elf_header.h"
#include "core/base/file.h"
#include "core/vmcore/page_classifier.h"

namespace hadump {
namespace {

constexpr std::uint64_t kDataAt = 1_MiB;  // where physical address 0 is in the file
constexpr std::uint64_t kVmemmap = 0xFFFFEA0000000000, kKernelMap = 0xFFFFFFFF80000000;
constexpr std::uint64_t kSectionBytes = 128_MiB, kDistinct = 256, kStructBytes = 64;
constexpr std::uint64_t kTop = 0x1000000;  // physical; our structures follow
constexpr std::uint64_t kRoots = 0x2000000, kSectionStructs = 0x2100000, kArrays = 0x10000000;
constexpr std::uint64_t kSectionsPerRoot = 128;

class SyntheticCore {
 public:
  SyntheticCore(int fd, std::uint64_t tebibytes)
      : fd_(fd), bytes_(tebibytes << 40), sections_(bytes_ / kSectionBytes) {}

  void make() {
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
    for (std::uint64_t i = 0; i < kDistinct; ++i) write_array(i);
  }

 private:
  template <typename T>
  void put(std::uint64_t phys, const T& value) {
    if (!write_all_at(fd_, std::as_bytes(std::span(&value, 1)), kDataAt + phys, "core"))
      std::abort();
  }
  std::uint64_t get(std::uint64_t phys) const {
    std::uint64_t value = 0;
    if (!read_exactly_at(fd_, std::as_writable_bytes(std::span(&value, 1)), kDataAt + phys, "core"))
      std::abort();
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
    const auto bytes = std::as_bytes(std::span(&head, 1));
    if (!write_all_at(fd_, bytes, 0, "core") ||
        !write_all_at(fd_, std::as_bytes(std::span(info)),
                      kNoteAt + sizeof head.note + sizeof head.name, "core"))
      std::abort();
  }

  /// A busy machine: mostly single pages in short runs, some free and compound blocks.
  void write_array(std::uint64_t number) {
    std::mt19937_64 random(number);
    std::vector<std::uint64_t> words(2_MiB / 8);
    const auto page = [&](std::uint64_t pfn) { return words.data() + pfn * kStructBytes / 8; };
    for (std::uint64_t pfn = 0; pfn < 32768;) {
      const std::uint64_t kind = random() % 16, fill = 8;
      if (kind == 0 && pfn % 16 == 0) {  // a free block of 64 KiB
        page(pfn)[6] = 0xFFFFFF7F;
        page(pfn)[5] = 4;
        pfn += 16;
      } else if (kind == 1 && pfn % 8 == 0) {  // slab of 8 pages
        page(pfn)[0] = (1 << 9) | (1 << 16);
        for (std::uint64_t tail = 1; tail < 8; ++tail) page(pfn + tail)[1] = 1;
        page(pfn + 1)[2] = 3 << 8;
        pfn += 8;
      } else {  // a few pages of cache, of user memory, or of the kernel
        for (std::uint64_t i = 0; i < fill && pfn < 32768; ++i, ++pfn) {
          page(pfn)[6] = 0xFFFFFFFF;
          if (kind % 3 != 0) page(pfn)[0] = 1 << 4;
          if (kind % 3 == 1) page(pfn)[3] = 0xFFFF888000000001;
        }
      }
    }
    if (!write_all_at(fd_, std::as_bytes(std::span(words)), kDataAt + kArrays + number * 2_MiB,
                      "core"))
      std::abort();
  }

  int fd_;
  std::uint64_t bytes_, sections_;
  std::uint64_t next_table_ = kTop;
};

int run(const std::string& path, std::uint64_t tebibytes, unsigned threads) {
  {
    auto fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (!fd) return 2;
    SyntheticCore(fd->get(), tebibytes).make();
  }
  struct rusage before {};
  ::getrusage(RUSAGE_SELF, &before);
  const auto started = std::chrono::steady_clock::now();
  const auto source = open_vmcore(path);
  if (!source) return 2;
  const auto classifier = PageClassifier::open(**source);
  if (!classifier) {
    fmt::print(stderr, "{}\n", classifier.error().what());
    return 2;
  }
  const std::uint64_t sections = (tebibytes << 40) / kSectionBytes, frames = 32768;
  std::atomic<std::uint64_t> next{0}, kept{0}, runs_seen{0};
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < threads; ++i)
    workers.emplace_back([&] {
      std::vector<PageRun> runs;
      for (std::uint64_t section; (section = next++) < sections;) {
        runs.clear();
        if (!(*classifier)->classify({Gfn{section * frames}, Gfn{(section + 1) * frames}}, runs))
          std::abort();
        runs_seen += runs.size();
        for (const PageRun& run : runs)
          if (!is_left_out(run.page_class, kMaxDumpLevel)) kept += run.frames.frames();
      }
    });
  for (std::thread& worker : workers) worker.join();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds_of = [](const struct rusage& of) {
    return static_cast<double>(of.ru_utime.tv_sec + of.ru_stime.tv_sec) +
           static_cast<double>(of.ru_utime.tv_usec + of.ru_stime.tv_usec) / 1e6;
  };
  const double cpu = (seconds_of(usage) - seconds_of(before)) / static_cast<double>(tebibytes);
  const double kept_percent =
      100.0 * static_cast<double>(kept) / static_cast<double>(sections * frames);
  fmt::print("{} TiB, {} threads: {:.2f} s, of CPU {:.2f} s/TiB\n", tebibytes, threads, seconds,
             cpu);
  fmt::print("{} runs, {:.1f} % kept, {} frames unknown, peak {} MiB resident\n", runs_seen.load(),
             kept_percent, (*classifier)->kept_unknown().frames(), usage.ru_maxrss >> 10);
  ::unlink(path.c_str());
  return 0;
}

}  // namespace
}  // namespace hadump

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: classify_bench FILE TEBIBYTES [THREADS]\n");
    return 2;
  }
  return hadump::run(argv[1], std::strtoull(argv[2], nullptr, 10),
                     argc > 3 ? static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10)) : 1);
}
