// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <elf.h>

#include <cstring>
#include <vector>

#include "core/base/elf_header.h"
#include "hv/domain/pvh_guest.h"
#include "hv/rescue/acpi_tables.h"

namespace hadump {

/// An ELF kernel with one segment of `bytes` at `address`, filled with 0x90, and a PVH entry.
inline std::vector<std::byte> sample_kernel(std::uint64_t address = 16_MiB,
                                            std::uint64_t bytes = 64_KiB) {
  struct {
    Elf64_Ehdr header;
    Elf64_Phdr load;
    Elf64_Phdr note;
    Elf64_Nhdr note_header;
    char name[4];
    std::uint32_t entry;
  } head{};
  head.header = make_elf_header(ET_EXEC, 2);
  head.load.p_type = PT_LOAD;
  head.load.p_paddr = address;
  head.load.p_offset = sizeof(head);
  head.load.p_filesz = bytes;
  head.load.p_memsz = bytes + 64_KiB;
  head.note.p_type = PT_NOTE;
  head.note.p_offset = offsetof(decltype(head), note_header);
  head.note.p_filesz = 20;
  head.note_header = {4, 4, 18};
  std::memcpy(head.name, "Xen", 4);
  head.entry = static_cast<std::uint32_t>(address);
  std::vector<std::byte> file(sizeof(head) + bytes, std::byte{0x90});
  std::memcpy(file.data(), &head, sizeof(head));
  return file;
}

inline void fix_checksum(std::vector<std::byte>& bytes, std::size_t begin, std::size_t length,
                         std::size_t at) {
  unsigned sum = 0;
  bytes[begin + at] = std::byte{0};
  for (std::size_t i = 0; i < length; ++i) sum += std::to_integer<unsigned>(bytes[begin + i]);
  bytes[begin + at] = static_cast<std::byte>(0x100 - (sum & 0xff));
}

/// Two pages: an XSDT with one table in the first, the root pointer in the second.
inline AcpiTables sample_acpi_tables() {
  AcpiTables tables{kAcpiFrames.begin, std::vector<std::byte>(2 * kFrameSize)};
  const std::uint64_t base = address_of(tables.first).value;
  auto put = [&tables](std::size_t at, const void* data, std::size_t bytes) {
    std::memcpy(tables.bytes.data() + at, data, bytes);
  };
  constexpr std::uint32_t kXsdtBytes = 44;
  constexpr std::uint32_t kMadtBytes = 64;
  const std::uint64_t madt = base + 0x200;
  const std::uint64_t xsdt = base;
  put(0, "XSDT", 4);
  put(4, &kXsdtBytes, 4);
  put(36, &madt, 8);
  put(0x200, "APIC", 4);
  put(0x204, &kMadtBytes, 4);
  fix_checksum(tables.bytes, 0x200, kMadtBytes, 9);
  fix_checksum(tables.bytes, 0, kXsdtBytes, 9);
  put(kFrameSize, "RSD PTR ", 8);
  put(kFrameSize + 24, &xsdt, 8);
  fix_checksum(tables.bytes, kFrameSize, 20, 8);
  fix_checksum(tables.bytes, kFrameSize, 36, 32);
  return tables;
}

}  // namespace hadump
