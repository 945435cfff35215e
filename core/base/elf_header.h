// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstring>

namespace hadump {

/// In e_flags: DUMP_ELF_INCOMPLETE of makedumpfile and crash.
inline constexpr Elf64_Word kElfIncomplete = 1;

/// The file header of a little-endian ELF64 file for x86-64 (System V ABI, chapter 4), whose
/// program headers lie right after it. `e_entry`, `e_flags` and section headers are left zero.
///
/// @param type ET_CORE or ET_EXEC.
/// @param program_headers Less than PN_XNUM; the caller has checked it.
inline Elf64_Ehdr make_elf_header(Elf64_Half type, std::size_t program_headers) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = type;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<Elf64_Half>(program_headers);
  return header;
}

}  // namespace hadump
