// SPDX-License-Identifier: GPL-2.0-or-later
// What the headers of a kdump-compressed file say.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "core/base/printable.h"
#include "core/vmcore/bitmap_block.h"
#include "core/vmcore/elf_limits.h"
#include "core/vmcore/elf_notes.h"
#include "core/vmcore/elf_source.h"
#include "core/vmcore/kdump_source.h"
#include "core/vmcore/page_filter.h"
#include "core/vmcore/read_struct.h"

namespace hadump {
namespace {

constexpr std::int32_t kMinVersion = 3, kMaxVersion = 6;

/// As many notes as are read, and the sub header before them.
constexpr std::uint64_t kMaxSubHeaderBlocks = kMaxNoteBytes / kFrameSize + 1;

/// What other machines wrote has other struct pages and page tables, perhaps other sizes of pages.
/// QEMU leaves the name out at times.
Result<> check_machine(const KdumpHeader& header) {
  const auto swapped =
      static_cast<std::int32_t>(__builtin_bswap32(static_cast<std::uint32_t>(header.version)));
  if (kMinVersion <= swapped && swapped <= kMaxVersion)
    return fail(ErrorCode::kUnsupported, "not a dump of an x86-64 machine: it is big-endian");
  const auto& text = header.utsname.machine;
  const std::string machine(text.begin(), std::find(text.begin(), text.end(), '\0'));
  if (machine.empty() || machine == "x86_64") return {};
  return fail(ErrorCode::kUnsupported,
              fmt::format("not a dump of an x86-64 machine: {}", printable(machine)));
}

}  // namespace

bool KdumpVmcoreSource::recognises(const ByteFile& file) {
  std::array<char, 8> signature{};
  const bool read{file.read_at(std::as_writable_bytes(std::span(signature)), 0)};
  return read && signature == KdumpHeader().signature;
}

Result<> KdumpVmcoreSource::read_headers(const ByteFile& file) {
  auto header = read_struct<KdumpHeader>(file, 0);
  if (!header || header->signature != KdumpHeader().signature)
    return fail(ErrorCode::kUnsupported, "not a kdump-compressed file");
  if (auto machine = check_machine(*header); !machine) return machine;
  if (header->version < kMinVersion || header->version > kMaxVersion ||
      header->block_size != static_cast<std::int32_t>(kFrameSize))
    return fail(ErrorCode::kUnsupported, fmt::format("version {} with blocks of {} bytes",
                                                     header->version, header->block_size));
  auto sub_header = read_struct<KdumpSubHeader>(file, kFrameSize);
  if (!sub_header) return fail(std::move(sub_header), "reading the sub header");
  const bool wide = header->version >= 6;
  const std::uint64_t max_mapnr = wide ? sub_header->max_mapnr_64 : header->max_mapnr;
  const auto sub_blocks = static_cast<std::uint64_t>(std::max(header->sub_header_blocks, 0));
  const std::uint64_t bitmap_blocks = header->bitmap_blocks / 2;
  if (sub_blocks < 1 || sub_blocks > kMaxSubHeaderBlocks || max_mapnr == 0 ||
      max_mapnr > kMaxKdumpFrames || max_mapnr > bitmap_blocks * kBlockBits)
    return fail(ErrorCode::kBadData,
                fmt::format("{} sub header blocks, {} bitmap blocks for {} frames", sub_blocks,
                            header->bitmap_blocks, max_mapnr));
  if (!fits((1 + sub_blocks) * kFrameSize, 2 * bitmap_blocks * kFrameSize, file.size()))
    return fail(ErrorCode::kBadData, "the bitmaps are past the end");
  if (!parts_.empty() && max_mapnr != max_mapnr_)
    return fail(ErrorCode::kBadData, "not a part of the same dump");
  header_ = *header;
  sub_header_ = *sub_header;
  max_mapnr_ = max_mapnr;
  return {};
}

Result<> KdumpVmcoreSource::read_notes(const ByteFile& file) {
  const auto has = [&](std::string_view name) {
    return std::any_of(layout_.notes.begin(), layout_.notes.end(),
                       [&](const ElfNote& note) { return note.name == name; });
  };
  const auto load = [&](std::uint64_t offset,
                        std::uint64_t size) -> Result<std::vector<std::byte>> {
    if (size > kMaxNoteBytes || !fits(offset, size, file.size()))
      return fail(ErrorCode::kBadData, fmt::format("notes of {} bytes at {:#x}", size, offset));
    std::vector<std::byte> bytes(size);
    if (auto r = file.read_at(bytes, offset); !r) return fail(std::move(r), "reading the notes");
    return bytes;
  };
  if (header_.version >= 4 && sub_header_.note_size > 0) {
    auto bytes = load(sub_header_.note_offset, sub_header_.note_size);
    if (!bytes) return fail(std::move(bytes));
    auto notes = parse_notes(*bytes);
    if (!notes) return fail(std::move(notes));
    layout_.notes = std::move(*notes);
  }
  if (vmcoreinfo_text(layout_).empty() && sub_header_.vmcoreinfo_size > 0) {
    auto bytes = load(sub_header_.vmcoreinfo_offset, sub_header_.vmcoreinfo_size);
    if (!bytes) return fail(std::move(bytes));
    layout_.notes.push_back({"VMCOREINFO", 0, std::move(*bytes)});
  }
  // What was erased from the dump (makedumpfile --config, --eppic): a note in an ELF core.
  if (header_.version >= 5 && sub_header_.erase_info_size > 0 && !has(kEraseInfoNote)) {
    auto bytes = load(sub_header_.erase_info_offset, sub_header_.erase_info_size);
    if (!bytes) return fail(std::move(bytes));
    layout_.notes.push_back({std::string(kEraseInfoNote), 0, std::move(*bytes)});
  }
  return {};
}

void KdumpVmcoreSource::take_facts() {
  const auto text = [](const std::array<char, 65>& field) {
    return printable({field.data(), ::strnlen(field.data(), field.size() - 1)});
  };
  const KdumpUtsname& names = header_.utsname;
  HeaderFacts& facts = layout_.header;
  facts.sysname = text(names.sysname);
  facts.nodename = text(names.nodename);
  facts.release = text(names.release);
  facts.version = text(names.version);
  facts.domainname = text(names.domainname);
  facts.crash_time_s = static_cast<std::uint64_t>(std::max<std::int64_t>(header_.seconds, 0));
  facts.phys_base = sub_header_.phys_base;
  facts.dump_level = static_cast<unsigned>(sub_header_.dump_level) & kMaxDumpLevel;
}

}  // namespace hadump
