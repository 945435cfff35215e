// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <elf.h>

#include <string>
#include <vector>

#include "core/vmcore/byte_file.h"

namespace hadump {

/// Builds an ELF core in memory in which every header field can be wrong: change `header` or the
/// entries of `program_headers` after adding things.
class ElfBuilder {
 public:
  ElfBuilder();

  /// Adds file content at the next multiple of `align`. @return its file offset.
  std::uint64_t add_content(std::span<const std::byte> content, std::uint64_t align = 1);
  /// A PT_LOAD whose content is `frames` frames, each filled with the low byte of `first_fill` + i.
  ElfBuilder& add_load(std::uint64_t phys, std::uint64_t frames, unsigned first_fill);
  ElfBuilder& add_notes(std::span<const std::byte> notes);

  std::vector<std::byte> build() const;
  std::unique_ptr<ByteFile> file() const { return std::make_unique<MemoryFile>(build()); }

  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> program_headers;

 private:
  std::vector<std::byte> content_;  // what follows kContentOffset
};

/// One note in the file's form, padded.
std::vector<std::byte> encode_note(const std::string& name, std::uint32_t type,
                                   const std::string& desc);

}  // namespace hadump
