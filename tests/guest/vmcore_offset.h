// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <elf.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>

/// Where the page is in the file; 0 when no load has it.
inline off_t vmcore_offset(int fd, std::uint64_t address) {
  Elf64_Ehdr header{};
  if (pread(fd, &header, sizeof(header), 0) != sizeof(header)) return 0;
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr load{};
    const off_t at = static_cast<off_t>(header.e_phoff) + i * off_t{sizeof(load)};
    if (pread(fd, &load, sizeof(load), at) != sizeof(load)) return 0;
    if (load.p_type == PT_LOAD && address >= load.p_paddr && address - load.p_paddr < load.p_memsz)
      return static_cast<off_t>(load.p_offset + (address - load.p_paddr));
  }
  return 0;
}
