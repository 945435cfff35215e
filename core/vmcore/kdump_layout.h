// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/units.h"

namespace hadump {

// The kdump-compressed ("diskdump") format, version 6, as on x86-64: little-endian, block size one
// page. Sources: makedumpfile's diskdump_mod.h and IMPLEMENTATION. The order in the file is:
// header, sub header with the notes, bitmap of valid frames, bitmap of dumped frames, one
// descriptor for each dumped frame, page data.

// Of the header's status and of a page's flags; those of the codecs are in their table
// (core/codec/codec_table.cc).
inline constexpr std::uint32_t kKdumpIncomplete = 0x8;
inline constexpr std::uint32_t kKdumpExcludedVmemmap = 0x10;

/// The ELF note's name of what the sub header calls erase info.
inline constexpr std::string_view kEraseInfoNote = "ERASEINFO";

struct KdumpUtsname {
  std::array<char, 65> sysname{};
  std::array<char, 65> nodename{};
  std::array<char, 65> release{};
  std::array<char, 65> version{};
  std::array<char, 65> machine{};
  std::array<char, 65> domainname{};
};

struct KdumpHeader {
  std::array<char, 8> signature{'K', 'D', 'U', 'M', 'P', ' ', ' ', ' '};
  std::int32_t version = 6;
  KdumpUtsname utsname;
  std::array<char, 6> padding{};
  std::int64_t seconds = 0;
  std::int64_t microseconds = 0;
  std::uint32_t status = 0;  ///< Codecs in use, kKdumpIncomplete.
  std::int32_t block_size = kFrameSize;
  std::int32_t sub_header_blocks = 0;
  std::uint32_t bitmap_blocks = 0;  ///< Of both bitmaps together.
  std::uint32_t max_mapnr = 0;      ///< Or UINT32_MAX; the sub header has all of it.
  std::uint32_t total_ram_blocks = 0;
  std::uint32_t device_blocks = 0;
  std::uint32_t written_blocks = 0;
  std::uint32_t current_cpu = 0;
  std::int32_t cpus = 0;
};
static_assert(sizeof(KdumpHeader) == 464);

struct KdumpSubHeader {
  std::uint64_t phys_base = 0;
  std::int32_t dump_level = 0;
  std::int32_t split = 0;
  std::uint64_t start_pfn = 0;
  std::uint64_t end_pfn = 0;
  std::uint64_t vmcoreinfo_offset = 0;
  std::uint64_t vmcoreinfo_size = 0;
  std::uint64_t note_offset = 0;
  std::uint64_t note_size = 0;
  std::uint64_t erase_info_offset = 0;
  std::uint64_t erase_info_size = 0;
  std::uint64_t start_pfn_64 = 0;
  std::uint64_t end_pfn_64 = 0;
  std::uint64_t max_mapnr_64 = 0;
};
static_assert(sizeof(KdumpSubHeader) == 104);

/// Offset 0: the page is lost.
struct KdumpPageDesc {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
  std::uint64_t page_flags = 0;
};
static_assert(sizeof(KdumpPageDesc) == 24);

}  // namespace hadump
