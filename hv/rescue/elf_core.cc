// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/elf_core.h"

#include <elf.h>

#include <cstring>

#include "core/base/elf_header.h"
#include "core/vmcore/elf_notes.h"
#include "hv/domain/cpu_notes.h"

namespace hadump {
namespace {

constexpr std::size_t kMaxCoreHeaders = PN_XNUM - 1;
void append(std::vector<std::byte>& out, const void* data, std::size_t bytes) {
  const auto* from = static_cast<const std::byte*>(data);
  out.insert(out.end(), from, from + bytes);
}

std::vector<std::byte> build_notes(const ElfCoreInput& input) {
  std::vector<std::byte> notes = encode_notes(notes_of(input.vcpus, input.vmcoreinfo_note)).bytes;
  // Linux counts notes up to an empty one and looks one header past the last (fs/proc/vmcore.c).
  notes.resize(notes.size() + round_up(sizeof(Elf64_Nhdr), 8));
  return notes;
}

Elf64_Phdr load_segment(FrameRange range, GuestPhys where, GuestVirt page_offset) {
  Elf64_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_flags = PF_R | PF_W | PF_X;
  segment.p_offset = where.value;
  segment.p_paddr = address_of(range.begin).value;
  segment.p_vaddr = page_offset.value + segment.p_paddr;
  segment.p_filesz = segment.p_memsz = range.bytes();
  return segment;
}

// Ascending by physical address: boot regions and the rest are walked side by side.
std::vector<Elf64_Phdr> load_segments(const ElfCoreInput& input) {
  std::vector<Elf64_Phdr> segments;
  FrameSet rest = input.frames;
  const auto add_rest_below = [&](Gfn end) {
    const FrameSet part = rest.intersection(FrameRange{Gfn{0}, end});
    for (FrameRange range : part.ranges())
      segments.push_back(load_segment(range, address_of(range.begin), input.page_offset));
    rest.erase({Gfn{0}, end});
  };
  for (const BootRegion& region : input.boot_regions) {
    add_rest_below(region.range.begin);
    const FrameSet part = rest.intersection(region.range);
    for (FrameRange range : part.ranges()) {
      const std::uint64_t offset = (range.begin.value - region.range.begin.value) << kFrameShift;
      segments.push_back(
          load_segment(range, GuestPhys{region.copy.value + offset}, input.page_offset));
    }
    rest.erase(region.range);
  }
  if (!rest.empty()) add_rest_below(rest.ranges().back().end);
  return segments;
}

}  // namespace

Result<std::vector<std::byte>> build_elf_core_header(const ElfCoreInput& input) {
  const std::vector<std::byte> notes = build_notes(input);
  const std::vector<Elf64_Phdr> loads = load_segments(input);
  if (loads.size() + 1 > kMaxCoreHeaders)
    return fail(ErrorCode::kUnsupported,
                "the guest's memory is in too many pieces for an ELF core");

  const Elf64_Ehdr header = make_elf_header(ET_CORE, loads.size() + 1);

  Elf64_Phdr note{};
  note.p_type = PT_NOTE;
  note.p_offset = input.at.value + sizeof(header) + header.e_phnum * sizeof(Elf64_Phdr);
  note.p_filesz = note.p_memsz = notes.size();

  std::vector<std::byte> out;
  append(out, &header, sizeof(header));
  append(out, &note, sizeof(note));
  append(out, loads.data(), loads.size() * sizeof(Elf64_Phdr));
  append(out, notes.data(), notes.size());
  return out;
}

std::uint64_t max_elf_core_header_bytes(std::uint64_t vcpus) {
  constexpr std::uint64_t kPrstatusNote = 512;  // 356, and what aligns it
  return sizeof(Elf64_Ehdr) + kMaxCoreHeaders * sizeof(Elf64_Phdr) + vcpus * kPrstatusNote +
         HADUMP_MAX_VMCOREINFO + kFrameSize;
}

std::span<const std::byte> vmcoreinfo_note_of(std::span<const std::byte> elf_header) {
  Elf64_Ehdr header;
  if (elf_header.size() < sizeof(header)) return {};
  std::memcpy(&header, elf_header.data(), sizeof(header));
  std::size_t at = sizeof(header) + header.e_phnum * sizeof(Elf64_Phdr);
  while (at + sizeof(Elf64_Nhdr) <= elf_header.size()) {
    Elf64_Nhdr note;
    std::memcpy(&note, elf_header.data() + at, sizeof(note));
    const std::size_t bytes =
        sizeof(note) + round_up(note.n_namesz, 4) + round_up(note.n_descsz, 4);
    if (note.n_namesz == 0 || bytes > elf_header.size() - at) return {};
    if (note.n_namesz == sizeof("VMCOREINFO") &&
        std::memcmp(elf_header.data() + at + sizeof(note), "VMCOREINFO", note.n_namesz) == 0)
      return elf_header.subspan(at, bytes);
    at += bytes;
  }
  return {};
}

GuestVirt page_offset_of(std::span<const std::byte> elf_header) {
  Elf64_Phdr first_load;
  const std::size_t at = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  if (elf_header.size() < at + sizeof(first_load)) return kDefaultPageOffset;
  std::memcpy(&first_load, elf_header.data() + at, sizeof(first_load));
  if (first_load.p_type != PT_LOAD) return kDefaultPageOffset;
  return GuestVirt{first_load.p_vaddr - first_load.p_paddr};
}

}  // namespace hadump
