// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/core/dump/dump_fixture.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "core/base/endian.h"
#include "core/vmcore/kdump_layout.h"
#include "core/vmcore/page_expander.h"

namespace hadump {
namespace {

template <typename T>
std::optional<T> load(const std::vector<std::byte>& image, std::uint64_t offset) {
  T value{};
  if (offset > image.size() || image.size() - offset < sizeof(T)) return std::nullopt;
  std::memcpy(&value, image.data() + offset, sizeof(T));
  return value;
}

/// Bytes that lie past the end of a file that was cut short read as zeros, as a hole does.
std::vector<std::byte> load_bytes(const std::vector<std::byte>& image, std::uint64_t offset,
                                  std::size_t size) {
  std::vector<std::byte> out(size);
  const std::size_t there = offset < image.size() ? image.size() - offset : 0;
  if (there != 0) std::memcpy(out.data(), image.data() + offset, std::min(size, there));
  return out;
}

std::optional<Page> load_page(const std::vector<std::byte>& image, const KdumpPageDesc& desc,
                              PageExpander& expander) {
  Page page{};
  const auto bytes = load_bytes(image, desc.offset, desc.size);
  if (!expander.expand(desc.flags, bytes, page)) return std::nullopt;
  return page;
}

}  // namespace

std::optional<ReadBack> read_kdump(const std::vector<std::byte>& image) {
  const auto header = load<KdumpHeader>(image, 0);
  const auto sub = load<KdumpSubHeader>(image, kFrameSize);
  if (!header || !sub || std::memcmp(header->signature.data(), "KDUMP   ", 8) != 0)
    return std::nullopt;
  ReadBack out;
  out.incomplete = (header->status & kKdumpIncomplete) != 0;
  const std::uint64_t bitmap =
      (1 + static_cast<std::uint64_t>(header->sub_header_blocks)) * kFrameSize;
  const std::uint64_t bitmap_bytes = std::uint64_t{header->bitmap_blocks} * kFrameSize / 2;
  const std::uint64_t descs = bitmap + 2 * bitmap_bytes;
  const auto bits = load_bytes(image, bitmap + bitmap_bytes, bitmap_bytes);
  std::uint64_t rank = 0;
  PageExpander expander;  // One for all: it keeps the codecs' tables.
  for (std::uint64_t frame = 0; frame < sub->max_mapnr_64; ++frame) {
    if ((static_cast<unsigned>(bits[frame / 8]) >> (frame % 8) & 1U) == 0) continue;
    if (sub->split != 0 && (frame < sub->start_pfn_64 || frame >= sub->end_pfn_64)) continue;
    const auto desc = load<KdumpPageDesc>(image, descs + rank++ * sizeof(KdumpPageDesc));
    const Gfn gfn{frame};
    const auto page = desc && desc->offset != 0 ? load_page(image, *desc, expander) : std::nullopt;
    if (page)
      out.pages[gfn] = *page;
    else
      out.lost.insert({gfn, Gfn{frame + 1}});
  }
  return out;
}

std::optional<ReadBack> read_elf(const std::vector<std::byte>& image) {
  const auto header = load<Elf64_Ehdr>(image, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return std::nullopt;
  ReadBack out;
  out.incomplete = (header->e_flags & 1) != 0;
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    const auto segment = load<Elf64_Phdr>(image, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment || segment->p_type != PT_LOAD) continue;
    for (std::uint64_t at = 0; at < segment->p_filesz; at += kFrameSize) {
      const auto bytes = load_bytes(image, segment->p_offset + at, kFrameSize);
      std::memcpy(out.pages[frame_of({segment->p_paddr + at})].data(), bytes.data(), kFrameSize);
    }
  }
  return out;
}

std::optional<ReadBack> read_xen(const std::vector<std::byte>& image) {
  const auto header = load<Elf64_Ehdr>(image, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return std::nullopt;
  std::map<std::string, Elf64_Shdr> sections;
  const auto section_at = [&](std::uint64_t index) {
    return load<Elf64_Shdr>(image, header->e_shoff + index * sizeof(Elf64_Shdr));
  };
  const auto names = section_at(header->e_shstrndx);
  for (unsigned i = 1; names && i < header->e_shnum; ++i) {
    const auto section = section_at(i);
    if (!section) return std::nullopt;
    std::string name;
    for (std::uint64_t at = names->sh_offset + section->sh_name;; ++at) {
      const auto c = load<char>(image, at);
      if (!c || *c == '\0') break;
      name += *c;
    }
    sections[name] = *section;
  }
  ReadBack out;
  out.incomplete = (header->e_flags & 1) != 0;
  const Elf64_Shdr table = sections[".xen_p2m"], pages = sections[".xen_pages"];
  for (std::uint64_t i = 0; i < table.sh_size / 16; ++i) {
    const auto pfn = load<std::uint64_t>(image, table.sh_offset + 16 * i);
    const auto mfn = load<std::uint64_t>(image, table.sh_offset + 16 * i + 8);
    if (!pfn || !mfn || *pfn != *mfn) return std::nullopt;
    if (*pfn == ~std::uint64_t{0}) continue;
    if (*pfn != i) return std::nullopt;  // crash takes it to be so
    const auto bytes = load_bytes(image, pages.sh_offset + i * kFrameSize, kFrameSize);
    std::memcpy(out.pages[Gfn{i}].data(), bytes.data(), kFrameSize);
  }
  return out;
}

std::optional<ReadBack> read_back(const OutputFormat* format, const std::vector<std::byte>& image) {
  return format == kElf ? read_elf(image) : format == kXen ? read_xen(image) : read_kdump(image);
}

std::optional<std::vector<std::byte>> rearrange(const std::vector<std::byte>& flattened) {
  std::vector<std::byte> image;
  for (std::uint64_t at = 4096;;) {
    const auto offset = load<be64>(flattened, at);
    const auto size = load<be64>(flattened, at + 8);
    if (!offset || !size) return std::nullopt;
    at += 16;
    if (*offset == ~std::uint64_t{0}) return image;
    SinkLog::apply(image, {*offset, load_bytes(flattened, at, *size)});
    at += *size;
  }
}

std::unique_ptr<InMemoryVmcore> make_machine() {
  // [1, 0x9f) + [0x100, 0x5c3) + [0x1000, 0x13fe): borders inside bytes of the bitmap and chunks.
  auto machine = std::make_unique<InMemoryVmcore>(
      FrameSet{{Gfn{1}, Gfn{0x9f}}, {Gfn{0x100}, Gfn{0x5c3}}, {Gfn{0x1000}, Gfn{0x13fe}}});
  std::mt19937 random(7);
  for (FrameRange range : machine->layout().frames.ranges())
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
      const unsigned kind = gfn.value / 37 % 4;
      if (kind == 0) continue;  // zeros
      // Word by word: byte by byte, sanitized, this would be most of what the tests do.
      std::array<std::uint32_t, kFrameSize / sizeof(std::uint32_t)> words{};
      for (std::size_t i = 0; i < words.size(); ++i)
        words[i] = kind == 1 ? static_cast<std::uint32_t>(random())
                   : kind == 2
                       ? static_cast<std::uint32_t>(gfn.value + i / 16) % 0x100 * 0x01010101U
                       : static_cast<std::uint32_t>(random()) & 0x0f0f0f0fU;
      machine->put(address_of(gfn), std::as_bytes(std::span(words)));
    }
  machine->set_vmcoreinfo(
      "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nNUMBER(phys_base)=-16777216\nCRASHTIME=1700000000\n");
  return machine;
}

PageClass PatternFilter::class_of(Gfn gfn) {
  switch (gfn.value / 23 % 5) {
    case 0:
      return PageClass::kFree;
    case 1:
      return PageClass::kUser;
    case 2:
      return PageClass::kCacheNonPrivate;
    default:
      return gfn.value >= 0x1100 && gfn.value < 0x1300 ? PageClass::kFree : PageClass::kKeep;
  }
}

Result<> PatternFilter::classify(FrameRange range, std::vector<PageRun>& runs) const {
  for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
    const FrameRange one{gfn, Gfn{gfn.value + 1}};
    if (!runs.empty() && runs.back().page_class == class_of(gfn) && runs.back().frames.end == gfn)
      runs.back().frames.end = one.end;
    else
      runs.push_back({one, class_of(gfn)});
  }
  return {};
}

FrameSet frames_of(const ReadBack& back) {
  FrameSet set;
  for (const auto& [gfn, page] : back.pages) set.insert({gfn, Gfn{gfn.value + 1}});
  return set;
}

bool same_page(const Page& one, const Page& other) {
  return std::memcmp(one.data(), other.data(), one.size()) == 0;
}

bool same_bytes(const std::vector<std::byte>& one, const std::vector<std::byte>& other) {
  return one.size() == other.size() &&
         (one.empty() || std::memcmp(one.data(), other.data(), one.size()) == 0);
}

Page page_of(const VmcoreSource& source, Gfn gfn) {
  Page page{};
  FrameStatus status{};
  static_cast<void>(source.read(gfn, page, {&status, 1}));
  return page;
}

DumpRun run_dump(const VmcoreSource& source, const RunOptions& options) {
  DumpRun run;
  auto sink = std::make_unique<MemorySink>(run.log, options.can_rewrite, options.acknowledges);
  sink->fail_at(options.fail_at, options.fail_errno);
  std::vector<std::unique_ptr<DumpSink>> sinks;
  sinks.push_back(std::move(sink));
  auto writer = DumpWriter::create(source, options.filter, source.layout().frames, options.dump,
                                   std::move(sinks));
  if (!writer) {
    run.summary = fail(std::move(writer));
    return run;
  }
  for (FrameSet portion; !(portion = (*writer)->next_portion(options.portion_bytes)).empty();) {
    if (auto done = (*writer)->write_portion(portion); !done) {
      run.summary = fail(std::move(done));
      return run;
    }
    auto durable = (*writer)->make_durable();
    if (!durable && durable.error().code() != ErrorCode::kUnsupported) {
      run.summary = fail(std::move(durable));
      return run;
    }
    if (!durable) continue;
    run.durable.insert(portion);
    run.portions.push_back(portion);
  }
  run.summary = (*writer)->finish();
  return run;
}

}  // namespace hadump
