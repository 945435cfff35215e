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

#include "core/vmcore/elf_limits.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMaxSections = 64;
constexpr std::uint64_t kMaxNameBytes = 4096;
/// XC_CORE_INVALID_PFN: a page that the domain gave back while it was being dumped.
constexpr std::uint64_t kNoPfn = ~std::uint64_t{0};

// vcpu_guest_context of x86-64 (xen/include/public/arch-x86/xen.h): user_regs, whose first fifteen
// registers are in the order of user_regs_struct, and the bases at the end.
constexpr std::uint64_t kContextBytes = 5168;
constexpr std::size_t kRegisters = 520, kRip = 648, kCs = 656, kRflags = 664, kRsp = 672, kSs = 680,
                      kEs = 688, kDs = 696, kFs = 704, kGs = 712, kFsBase = 5144,
                      kGsBaseUser = 5160;
constexpr std::size_t kGeneralRegisters = 15;

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

template <typename T>
T load(const std::array<std::byte, kContextBytes>& context, std::size_t offset) {
  T value;
  std::memcpy(&value, context.data() + offset, sizeof(value));
  return value;
}

ElfNote prstatus_of(const std::array<std::byte, kContextBytes>& context, std::uint64_t vcpu) {
  std::array<std::uint64_t, 27> registers{};
  std::memcpy(registers.data(), context.data() + kRegisters, kGeneralRegisters * 8);
  std::size_t at = kGeneralRegisters;
  registers[at++] = ~std::uint64_t{0};  // orig_rax: not in a system call
  registers[at++] = load<std::uint64_t>(context, kRip);
  registers[at++] = load<std::uint16_t>(context, kCs);
  for (const std::size_t offset : {kRflags, kRsp})
    registers[at++] = load<std::uint64_t>(context, offset);
  registers[at++] = load<std::uint16_t>(context, kSs);
  for (const std::size_t offset : {kFsBase, kGsBaseUser})
    registers[at++] = load<std::uint64_t>(context, offset);
  for (const std::size_t offset : {kDs, kEs, kFs, kGs})
    registers[at++] = load<std::uint16_t>(context, offset);
  elf_prstatus status{};
  static_assert(sizeof(registers) == sizeof(status.pr_reg));
  status.pr_pid = static_cast<pid_t>(vcpu + 1);
  std::memcpy(&status.pr_reg, registers.data(), sizeof(registers));
  const auto bytes = std::as_bytes(std::span(&status, 1));
  return {"CORE", kNotePrstatus, {bytes.begin(), bytes.end()}};
}

Result<> read_vcpus(const ByteFile& file, const Elf64_Shdr& section, VmcoreLayout& layout) {
  if (section.sh_entsize != kContextBytes || section.sh_size / kContextBytes > kMaxXenVcpus)
    return fail(ErrorCode::kUnsupported,
                fmt::format("vCPUs of {} bytes in {}", section.sh_entsize, section.sh_size));
  std::array<std::byte, kContextBytes> context;
  for (std::uint64_t i = 0; i < section.sh_size / kContextBytes; ++i) {
    if (auto r = file.read_at(context, section.sh_offset + i * kContextBytes); !r)
      return fail(std::move(r), "reading the vCPUs");
    layout.notes.push_back(prstatus_of(context, i));
  }
  return {};
}

/// A segment for each run of frames that follow each other.
Result<> read_pages(const ByteFile& file, const Elf64_Shdr& table, const Elf64_Shdr& pages,
                    VmcoreLayout& layout) {
  constexpr std::uint64_t kAtOnce = 4096;
  constexpr std::uint64_t kMaxPfn = std::uint64_t{1} << (kMaxPhysBits - kFrameShift);
  const std::uint64_t count = table.sh_size / sizeof(std::uint64_t);
  if (!fits(table.sh_offset, table.sh_size, file.size()) || count > pages.sh_size / kFrameSize ||
      pages.sh_offset > std::uint64_t{1} << 62)
    return fail(ErrorCode::kBadData,
                fmt::format("{} frames in {} bytes of pages", count, pages.sh_size));
  std::vector<std::uint64_t> pfns;
  for (std::uint64_t at = 0; at < count; at += pfns.size()) {
    pfns.resize(static_cast<std::size_t>(std::min(kAtOnce, count - at)));
    if (auto r = file.read_at(std::as_writable_bytes(std::span(pfns)),
                              table.sh_offset + at * sizeof(std::uint64_t));
        !r)
      return fail(std::move(r), "reading the frames' numbers");
    for (std::size_t i = 0; i < pfns.size(); ++i) {
      if (pfns[i] == kNoPfn) continue;
      if (pfns[i] >= kMaxPfn || layout.segments.size() == kMaxProgramHeaders)
        return fail(ErrorCode::kBadData,
                    "frames beyond the largest address, or in too many pieces");
      const std::uint64_t offset = pages.sh_offset + (at + i) * kFrameSize;
      const GuestPhys phys = address_of(Gfn{pfns[i]});
      if (!layout.segments.empty()) {
        LoadSegment& last = layout.segments.back();
        if (last.phys.value + last.memory_bytes == phys.value &&
            last.file_offset + last.file_bytes == offset) {
          last.memory_bytes = last.file_bytes += kFrameSize;
          continue;
        }
      }
      layout.segments.push_back({GuestVirt{}, phys, kFrameSize, kFrameSize, offset});
    }
  }
  return {};
}

}  // namespace

bool is_xen_core(const ByteFile& file, const Elf64_Ehdr& header) {
  if (header.e_phnum != 0) return false;
  const auto sections = read_sections(file, header);
  return sections && find_section(*sections, ".xen_pages") != nullptr;
}

Result<VmcoreLayout> read_xen_core(const ByteFile& file, const Elf64_Ehdr& header) {
  const auto sections = read_sections(file, header);
  if (!sections) return fail(Result<Sections>(sections));
  if (find_section(*sections, ".xen_p2m") != nullptr)
    return fail(
        ErrorCode::kUnsupported,
        "the core of a PV domain (xl dump-core): crash opens it, with the domain's vmlinux");
  const Elf64_Shdr* const table = find_section(*sections, ".xen_pfn");
  const Elf64_Shdr* const pages = find_section(*sections, ".xen_pages");
  if (table == nullptr || pages == nullptr)
    return fail(ErrorCode::kBadData, "a domain's core without .xen_pfn");
  VmcoreLayout layout;
  if (const Elf64_Shdr* vcpus = find_section(*sections, ".xen_prstatus"))
    if (auto r = read_vcpus(file, *vcpus, layout); !r) return fail(std::move(r));
  if (auto r = read_pages(file, *table, *pages, layout); !r) return fail(std::move(r));
  return layout;
}

}  // namespace hadump
