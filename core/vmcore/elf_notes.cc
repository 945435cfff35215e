// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/elf_notes.h"

#include "core/vmcore/kdump_layout.h"

namespace hadump {
namespace {

struct NoteHeader {
  std::uint32_t name_bytes;
  std::uint32_t desc_bytes;
  std::uint32_t type;
};
static_assert(sizeof(NoteHeader) == 12);
constexpr std::size_t kNoteAlignment = 4;

void append(std::vector<std::byte>& bytes, const void* data, std::size_t size) {
  const auto* from = static_cast<const std::byte*>(data);
  bytes.insert(bytes.end(), from, from + size);
}

void pad(std::vector<std::byte>& bytes) {
  bytes.resize(round_up(bytes.size(), kNoteAlignment));
}

}  // namespace

NoteBytes encode_notes(const std::vector<ElfNote>& notes) {
  NoteBytes out;
  for (const ElfNote& note : notes) {
    const NoteHeader header{static_cast<std::uint32_t>(note.name.size() + 1),
                            static_cast<std::uint32_t>(note.desc.size()), note.type};
    append(out.bytes, &header, sizeof(header));
    append(out.bytes, note.name.c_str(), header.name_bytes);
    pad(out.bytes);
    if (note.name == "VMCOREINFO") {
      out.vmcoreinfo_offset = out.bytes.size();
      out.vmcoreinfo_size = note.desc.size();
    }
    if (note.name == kEraseInfoNote) {
      out.erase_info_offset = out.bytes.size();
      out.erase_info_size = note.desc.size();
    }
    append(out.bytes, note.desc.data(), note.desc.size());
    pad(out.bytes);
  }
  return out;
}

}  // namespace hadump
