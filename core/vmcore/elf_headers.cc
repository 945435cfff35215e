// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/elf_headers.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/elf_header.h"
#include "core/vmcore/elf_limits.h"
#include "core/vmcore/elf_notes.h"
#include "core/vmcore/read_struct.h"
#include "core/vmcore/xen_core.h"

namespace hadump {
namespace {

/// As uname -m says it.
std::string machine_name(Elf64_Half machine) {
  switch (machine) {
    case EM_386:
      return "i686";
    case EM_AARCH64:
      return "aarch64";
    case EM_ARM:
      return "arm";
    case EM_PPC64:
      return "ppc64le";
    case EM_RISCV:
      return "riscv64";
    default:
      return fmt::format("ELF machine {}", machine);
  }
}

Result<Elf64_Ehdr> read_file_header(const ByteFile& file) {
  auto header = read_struct<Elf64_Ehdr>(file, 0);
  const bool too_short = !header && header.error().code() == ErrorCode::kBadData;
  if (!header && !too_short) return fail(std::move(header), "reading the ELF header");
  // What has the kdump signature does not come here.
  if (too_short || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
    return fail(ErrorCode::kUnsupported, "neither an ELF core nor a kdump-compressed dump");
  const unsigned char* ident = header->e_ident;
  if (ident[EI_DATA] == ELFDATA2MSB)
    return fail(ErrorCode::kUnsupported, "not a core of an x86-64 machine: it is big-endian");
  if (header->e_machine != EM_X86_64)
    return fail(ErrorCode::kUnsupported, fmt::format("not a core of an x86-64 machine: {}",
                                                     machine_name(header->e_machine)));
  if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB || header->e_type != ET_CORE)
    return fail(ErrorCode::kUnsupported, "not a core of an x86-64 machine");
  if (header->e_phnum != 0 && header->e_phentsize != sizeof(Elf64_Phdr))
    return fail(ErrorCode::kBadData, fmt::format("program headers of {} bytes, not {}",
                                                 header->e_phentsize, sizeof(Elf64_Phdr)));
  return header;
}

/// e_phnum, or where that overflows (PN_XNUM) the number that section header 0 holds instead.
Result<std::uint64_t> program_header_count(const ByteFile& file, const Elf64_Ehdr& header) {
  std::uint64_t count = header.e_phnum;
  if (count == PN_XNUM) {
    auto section = read_struct<Elf64_Shdr>(file, header.e_shoff);
    if (!section) return fail(std::move(section), "reading the extended program header count");
    count = section->sh_info;
  }
  if (count == 0) return fail(ErrorCode::kBadData, "no program headers");
  if (count > kMaxProgramHeaders)
    return fail(ErrorCode::kBadData,
                fmt::format("{} program headers, more than {}", count, kMaxProgramHeaders));
  return count;
}

Result<std::vector<Elf64_Phdr>> read_program_headers(const ByteFile& file,
                                                     const Elf64_Ehdr& header) {
  auto count = program_header_count(file, header);
  if (!count) return fail(std::move(count));
  if (!fits(header.e_phoff, *count * sizeof(Elf64_Phdr), file.size()))
    return fail(ErrorCode::kBadData, fmt::format("{} program headers at {:#x} are past the end",
                                                 *count, header.e_phoff));
  std::vector<Elf64_Phdr> headers(*count);
  if (auto r = file.read_at(std::as_writable_bytes(std::span(headers)), header.e_phoff); !r)
    return fail(std::move(r), "reading the program headers");
  return headers;
}

Result<LoadSegment> check_load(const Elf64_Phdr& header) {
  constexpr std::uint64_t kEnd = std::uint64_t{1} << kMaxPhysBits;
  if (!fits(header.p_paddr, header.p_memsz, kEnd))
    return fail(ErrorCode::kBadData,
                fmt::format("segment of {:#x} bytes at {:#x} is past the end of physical memory",
                            header.p_memsz, header.p_paddr));
  const std::uint64_t file_bytes = std::min(header.p_filesz, header.p_memsz);
  if (header.p_offset + file_bytes < header.p_offset)
    return fail(ErrorCode::kBadData,
                fmt::format("segment at file offset {:#x} wraps around", header.p_offset));
  return LoadSegment{GuestVirt{header.p_vaddr}, GuestPhys{header.p_paddr}, header.p_memsz,
                     file_bytes, header.p_offset};
}

/// What a driver adds to a dump (Linux's NT_VMCOREDD, name "LINUX"): megabytes of its device's
/// state, which no reader needs for the rest of the dump.
constexpr std::uint32_t kNoteDeviceDump = 0x700;

/// Reads the notes of one segment after the other.
class NoteReader {
 public:
  NoteReader(const ByteFile& file, VmcoreLayout& layout)
      : file_(file), layout_(layout), room_(std::min(kMaxNoteBytes, file.size())) {}

  Result<> read(const Elf64_Phdr& header) {
    // Device dumps may be any size.
    if (!fits(header.p_offset, header.p_filesz, file_.size()))
      return fail(ErrorCode::kBadData, fmt::format("notes of {} bytes at {:#x} are past the end",
                                                   header.p_filesz, header.p_offset));
    std::uint64_t at = header.p_offset;
    const std::uint64_t end = header.p_offset + header.p_filesz;
    while (at < end) {
      auto devices = first_device_dump(at, end);
      if (!devices) return fail(std::move(devices));
      if (auto r = read_others(at, devices->begin); !r) return r;
      at = devices->end;
    }
    return {};
  }

 private:
  struct Bytes {
    std::uint64_t begin = 0, end = 0;
  };

  /// The first device dump in [at, end) that there is no room for; [end, end) without one.
  Result<Bytes> first_device_dump(std::uint64_t at, std::uint64_t end) {
    const std::uint64_t begin = at;
    while (end - at >= sizeof(Elf64_Nhdr)) {
      if (++looked_at_ > kMaxNotes)
        return fail(ErrorCode::kBadData, fmt::format("more than {} notes", kMaxNotes));
      auto note = read_struct<Elf64_Nhdr>(file_, at);
      if (!note) return fail(std::move(note), "reading the notes");
      if (note->n_namesz == 0 && note->n_descsz == 0 && note->n_type == 0) break;
      const std::uint64_t size =
          sizeof(*note) + round_up(note->n_namesz, 4) + round_up(std::uint64_t{note->n_descsz}, 4);
      if (size > end - at) break;
      if (note->n_type == kNoteDeviceDump && size > room_ - std::min(room_, at - begin)) {
        layout_.device_dump_bytes_left_out += note->n_descsz;
        return Bytes{at, at + size};
      }
      at += size;
    }
    return Bytes{end, end};
  }

  Result<> read_others(std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t size = end - begin;
    if (size > room_)
      return fail(ErrorCode::kBadData, fmt::format("notes of {} bytes, more than {}", size, room_));
    room_ -= size;
    std::vector<std::byte> bytes(size);
    if (auto r = file_.read_at(bytes, begin); !r) return fail(std::move(r), "reading the notes");
    auto parsed = parse_notes(bytes);
    if (!parsed) return fail(std::move(parsed));
    if (layout_.notes.size() + parsed->size() > kMaxNotes)
      return fail(ErrorCode::kBadData, fmt::format("more than {} notes", kMaxNotes));
    std::move(parsed->begin(), parsed->end(), std::back_inserter(layout_.notes));
    return {};
  }

  const ByteFile& file_;
  VmcoreLayout& layout_;
  std::uint64_t room_;  ///< For all further notes together.
  std::uint64_t looked_at_ = 0;
};

/// Several pieces of memory that are all at the physical address 0. A machine's memory may be one
/// piece that begins there.
bool is_core_of_a_process(const VmcoreLayout& layout) {
  const bool at_zero =
      std::all_of(layout.segments.begin(), layout.segments.end(),
                  [](const LoadSegment& segment) { return segment.phys.value == 0; });
  // A machine's memory may be one segment from 0 on, but has no auxiliary vector.
  const auto is_auxv = [](const ElfNote& note) {
    return note.name == "CORE" && note.type == NT_AUXV;
  };
  return at_zero && (layout.segments.size() > 1 ||
                     std::any_of(layout.notes.begin(), layout.notes.end(), is_auxv));
}

}  // namespace

Result<std::vector<ElfNote>> parse_notes(std::span<const std::byte> bytes) {
  std::vector<ElfNote> notes;
  std::size_t at = 0;
  while (bytes.size() - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, bytes.data() + at, sizeof header);
    if (header.n_namesz == 0 && header.n_descsz == 0 && header.n_type == 0) break;
    at += sizeof header;
    const std::uint64_t name_room = round_up(header.n_namesz, 4);
    const std::uint64_t desc_room = round_up(header.n_descsz, 4);
    // The last note's padding may be missing: files that end with it are in the field.
    if (name_room > bytes.size() - at || header.n_descsz > bytes.size() - at - name_room)
      return fail(ErrorCode::kBadData,
                  fmt::format("a note's name of {} and content of {} bytes extend past the end",
                              header.n_namesz, header.n_descsz));
    if (notes.size() == kMaxNotes)
      return fail(ErrorCode::kBadData, fmt::format("more than {} notes", kMaxNotes));
    ElfNote note;
    note.type = header.n_type;
    note.name.assign(reinterpret_cast<const char*>(bytes.data() + at), header.n_namesz);
    note.name.erase(std::min(note.name.find('\0'), note.name.size()));
    const auto desc = bytes.subspan(at + name_room, header.n_descsz);
    note.desc.assign(desc.begin(), desc.end());
    notes.push_back(std::move(note));
    at = std::min<std::uint64_t>(at + name_room + desc_room, bytes.size());
  }
  return notes;
}

Result<VmcoreLayout> read_elf_headers(const ByteFile& file) {
  auto header = read_file_header(file);
  if (!header) return fail(std::move(header));
  if (is_xen_core(file, *header)) return read_xen_core(file, *header);
  auto program_headers = read_program_headers(file, *header);
  if (!program_headers) return fail(std::move(program_headers));

  VmcoreLayout layout;
  layout.incomplete = (header->e_flags & kElfIncomplete) != 0;
  NoteReader notes(file, layout);
  for (const Elf64_Phdr& entry : *program_headers) {
    if (entry.p_type == PT_NOTE) {
      if (auto r = notes.read(entry); !r) return fail(std::move(r));
    }
    // /proc/kcore marks what has no physical address (vmalloc, modules) with -1.
    if (entry.p_type != PT_LOAD || entry.p_memsz == 0 || entry.p_paddr == ~std::uint64_t{0})
      continue;
    auto segment = check_load(entry);
    if (!segment) return fail(std::move(segment));
    layout.segments.push_back(*segment);
  }
  if (is_core_of_a_process(layout))
    return fail(
        ErrorCode::kUnsupported,
        "not a memory dump: its segments have no physical addresses (the core of a process?)");
  return layout;
}

}  // namespace hadump
