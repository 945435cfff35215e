// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/core/vmcore/elf_builder.h"

#include <cstring>

#include "core/base/elf_header.h"
#include "core/base/units.h"

namespace hadump {
namespace {

/// Room for the headers of every test.
constexpr std::uint64_t kContentOffset = 0x4000;

}  // namespace

ElfBuilder::ElfBuilder() : header(make_elf_header(ET_CORE, 0)) {}

std::uint64_t ElfBuilder::add_content(std::span<const std::byte> content, std::uint64_t align) {
  content_.resize(round_up(kContentOffset + content_.size(), align) - kContentOffset);
  const std::uint64_t offset = kContentOffset + content_.size();
  content_.insert(content_.end(), content.begin(), content.end());
  return offset;
}

ElfBuilder& ElfBuilder::add_load(std::uint64_t phys, std::uint64_t frames, unsigned first_fill) {
  std::vector<std::byte> bytes(frames * kFrameSize);
  for (std::uint64_t i = 0; i < frames; ++i)
    std::memset(bytes.data() + i * kFrameSize, static_cast<int>(first_fill + i), kFrameSize);
  Elf64_Phdr entry{};
  entry.p_type = PT_LOAD;
  entry.p_offset = add_content(bytes);
  entry.p_paddr = phys;
  entry.p_filesz = entry.p_memsz = bytes.size();
  program_headers.push_back(entry);
  return *this;
}

ElfBuilder& ElfBuilder::add_notes(std::span<const std::byte> notes) {
  Elf64_Phdr entry{};
  entry.p_type = PT_NOTE;
  entry.p_offset = add_content(notes, 4);
  entry.p_filesz = notes.size();
  program_headers.push_back(entry);
  return *this;
}

std::vector<std::byte> ElfBuilder::build() const {
  Elf64_Ehdr head = header;
  if (head.e_phnum == 0) head.e_phnum = static_cast<Elf64_Half>(program_headers.size());
  std::vector<std::byte> file(kContentOffset + content_.size());
  std::memcpy(file.data(), &head, sizeof head);
  if (!program_headers.empty())
    std::memcpy(file.data() + sizeof head, program_headers.data(),
                program_headers.size() * sizeof(Elf64_Phdr));
  if (!content_.empty())
    std::memcpy(file.data() + kContentOffset, content_.data(), content_.size());
  return file;
}

std::vector<std::byte> encode_note(const std::string& name, std::uint32_t type,
                                   const std::string& desc) {
  const Elf64_Nhdr head{static_cast<Elf64_Word>(name.size() + 1),
                        static_cast<Elf64_Word>(desc.size()), type};
  const std::uint64_t name_room = round_up(name.size() + 1, 4);
  std::vector<std::byte> note(sizeof head + name_room + round_up(desc.size(), 4));
  std::memcpy(note.data(), &head, sizeof head);
  std::memcpy(note.data() + sizeof head, name.data(), name.size());
  std::memcpy(note.data() + sizeof head + name_room, desc.data(), desc.size());
  return note;
}

}  // namespace hadump
