// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/xen_core.h"

#include <fmt/format.h>
#include <sys/procfs.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "core/base/elf_header.h"
#include "core/vmcore/elf_limits.h"
#include "core/vmcore/xen_core_layout.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMaxSections = 64;
constexpr std::uint64_t kMaxNameBytes = 4096;
// Linux' selectors of 64-bit and 32-bit user space (arch/x86/include/asm/segment.h).
constexpr std::uint16_t kUserCs = 0x33, kUser32Cs = 0x23;

using ContextBytes = std::array<std::byte, kXenContextBytes>;
using Sections = std::map<std::string, Elf64_Shdr, std::less<>>;

Result<Sections> read_sections(const ByteFile& file, const Elf64_Ehdr& header) {
  if (header.e_shnum == 0 || header.e_shnum > kMaxSections || header.e_shstrndx >= header.e_shnum ||
      header.e_shentsize != sizeof(Elf64_Shdr))
    return fail(ErrorCode::kBadData, fmt::format("{} sections", header.e_shnum));
  std::vector<Elf64_Shdr> headers(header.e_shnum);
  if (auto r = file.read_at(std::as_writable_bytes(std::span(headers)), header.e_shoff); !r)
    return fail(std::move(r), "reading the section headers");
  const Elf64_Shdr& names_at = headers[header.e_shstrndx];
  std::string names(std::min(names_at.sh_size, kMaxNameBytes), '\0');
  if (auto r = file.read_at(std::as_writable_bytes(std::span(names)), names_at.sh_offset); !r)
    return fail(std::move(r), "reading the sections' names");
  Sections sections;
  for (const Elf64_Shdr& section : headers)
    if (section.sh_name < names.size()) {
      const std::string_view rest = std::string_view(names).substr(section.sh_name);
      sections.emplace(rest.substr(0, rest.find('\0')), section);
    }
  return sections;
}

const Elf64_Shdr* find_section(const Sections& sections, std::string_view name) {
  const auto found = sections.find(name);
  return found == sections.end() ? nullptr : &found->second;
}

ElfNote prstatus_of(const ContextBytes& context, std::uint64_t vcpu) {
  std::array<std::uint64_t, 27> registers{};
  const auto take = [&](std::size_t index, std::size_t offset, std::size_t bytes) {
    std::memcpy(&registers[index], context.data() + offset, bytes);
  };
  for (std::size_t i = 0; i < kXenGeneralRegisters; ++i) take(i, kXenGeneralOffset + 8 * i, 8);
  for (const XenRegister& one : kXenRegisters) take(one.in_note, one.offset, one.bytes);
  const bool in_user_space = registers[kNoteCs] == kUserCs || registers[kNoteCs] == kUser32Cs;
  take(kNoteGsBase, in_user_space ? kXenGsBaseUser : kXenGsBaseKernel, 8);
  registers[kXenGeneralRegisters] = ~std::uint64_t{0};  // orig_rax: not in a system call
  elf_prstatus status{};
  static_assert(sizeof(registers) == sizeof(status.pr_reg));
  status.pr_pid = static_cast<pid_t>(vcpu + 1);
  std::memcpy(&status.pr_reg, registers.data(), sizeof(registers));
  const auto bytes = std::as_bytes(std::span(&status, 1));
  return {"CORE", kNotePrstatus, {bytes.begin(), bytes.end()}};
}

Result<> read_vcpus(const ByteFile& file, const Elf64_Shdr& section, VmcoreLayout& layout) {
  if (section.sh_entsize != kXenContextBytes || section.sh_size / kXenContextBytes > kMaxCpus)
    return fail(ErrorCode::kUnsupported,
                fmt::format("vCPUs of {} bytes in {}", section.sh_entsize, section.sh_size));
  ContextBytes context;
  for (std::uint64_t i = 0; i < section.sh_size / kXenContextBytes; ++i) {
    if (auto r = file.read_at(context, section.sh_offset + i * kXenContextBytes); !r)
      return fail(std::move(r), "reading the vCPUs");
    layout.notes.push_back(prstatus_of(context, i));
  }
  return {};
}

Result<> add_page(std::uint64_t pfn, std::uint64_t offset, VmcoreLayout& layout) {
  constexpr std::uint64_t kMaxPfn = std::uint64_t{1} << (kMaxPhysBits - kFrameShift);
  if (pfn >= kMaxPfn || layout.segments.size() == kMaxProgramHeaders)
    return fail(ErrorCode::kBadData, "frames beyond the largest address, or in too many pieces");
  const GuestPhys phys = address_of(Gfn{pfn});
  if (!layout.segments.empty()) {
    LoadSegment& last = layout.segments.back();
    if (last.phys.value + last.memory_bytes == phys.value &&
        last.file_offset + last.file_bytes == offset) {
      last.memory_bytes = last.file_bytes += kFrameSize;
      return {};
    }
  }
  layout.segments.push_back({GuestVirt{}, phys, kFrameSize, kFrameSize, offset});
  return {};
}

/// A segment for each run of frames that follow each other.
/// @param words  of a table's entry: 1, the frame; or 2, as in XenP2mEntry. Then both must be the
///               same, since the page tables in the file lead to machine frames.
Result<> read_pages(const ByteFile& file, const Elf64_Shdr& table, std::size_t words,
                    const Elf64_Shdr& pages, VmcoreLayout& layout) {
  constexpr std::uint64_t kAtOnce = 4096;
  const std::uint64_t entry_bytes = words * sizeof(std::uint64_t);
  const std::uint64_t count = table.sh_size / entry_bytes;
  if (!fits(table.sh_offset, table.sh_size, file.size()) || count > pages.sh_size / kFrameSize ||
      pages.sh_offset > std::uint64_t{1} << 62)
    return fail(ErrorCode::kBadData,
                fmt::format("{} frames in {} bytes of pages", count, pages.sh_size));
  std::vector<std::uint64_t> entries;
  for (std::uint64_t at = 0; at < count; at += kAtOnce) {
    entries.resize(words * static_cast<std::size_t>(std::min(kAtOnce, count - at)));
    if (auto r = file.read_at(std::as_writable_bytes(std::span(entries)),
                              table.sh_offset + at * entry_bytes);
        !r)
      return fail(std::move(r), "reading the frames' numbers");
    for (std::size_t i = 0; i < entries.size(); i += words) {
      const std::uint64_t pfn = entries[i];
      if (entries[i + words - 1] != pfn)
        return fail(
            ErrorCode::kUnsupported,
            "the core of a PV domain (xl dump-core): crash opens it, with the domain's vmlinux");
      if (pfn == kXenNoPfn) continue;
      const std::uint64_t offset = pages.sh_offset + (at + i / words) * kFrameSize;
      if (auto r = add_page(pfn, offset, layout); !r) return r;
    }
  }
  return {};
}

}  // namespace

bool is_xen_core(const ByteFile& file, const Elf64_Ehdr& header) {
  if (header.e_phnum != 0) return false;
  const auto sections = read_sections(file, header);
  return sections && find_section(*sections, kXenPages) != nullptr;
}

Result<VmcoreLayout> read_xen_core(const ByteFile& file, const Elf64_Ehdr& header) {
  const auto sections = read_sections(file, header);
  if (!sections) return fail(Result<Sections>(sections));
  const Elf64_Shdr* const p2m = find_section(*sections, kXenP2m);
  const Elf64_Shdr* const pfns = find_section(*sections, kXenPfns);
  const Elf64_Shdr* const pages = find_section(*sections, kXenPages);
  if ((p2m == nullptr && pfns == nullptr) || pages == nullptr)
    return fail(ErrorCode::kBadData, "a domain's core without .xen_pfn");
  VmcoreLayout layout;
  layout.incomplete = (header.e_flags & kElfIncomplete) != 0;
  if (const Elf64_Shdr* vcpus = find_section(*sections, kXenVcpus))
    if (auto r = read_vcpus(file, *vcpus, layout); !r) return fail(std::move(r));
  if (auto r = p2m != nullptr ? read_pages(file, *p2m, 2, *pages, layout)
                              : read_pages(file, *pfns, 1, *pages, layout);
      !r)
    return fail(std::move(r));
  return layout;
}

}  // namespace hadump
