// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstring>

#include "core/dump/format.h"

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
    append(out.bytes, note.desc.data(), note.desc.size());
    pad(out.bytes);
  }
  return out;
}

Result<std::uint64_t> write_pages(DumpSink& sink, std::span<const PageOutcome> pages,
                                  std::uint64_t offset_of_first) {
  std::uint64_t written = 0;
  const std::byte* from = nullptr;
  std::size_t size = 0;
  const auto put = [&]() -> Result<> {
    if (size == 0) return {};
    auto done = sink.write_data(offset_of_first + written, {from, size});
    written += size;
    return done;
  };
  for (const PageOutcome& page : pages) {
    if (page.fate != PageFate::kData) continue;
    if (page.data != from + size) {
      if (auto done = put(); !done) return fail(std::move(done));
      from = page.data;
      size = 0;
    }
    size += page.size;
  }
  if (auto done = put(); !done) return fail(std::move(done));
  return written;
}

}  // namespace hadump
