// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/elf_table.h"

#include <elf.h>

#include <algorithm>
#include <span>

#include "core/base/elf_header.h"

namespace hadump {
namespace {

/// The kernel's own text is mapped a second time, from here on (x86-64 __START_KERNEL_map).
constexpr std::uint64_t kKernelTextMap = 0xffffffff80000000;
constexpr std::uint64_t kFirstMegabyte = 1_MiB >> kFrameShift;

Elf64_Ehdr make_file_header(std::size_t program_headers, bool complete) {
  Elf64_Ehdr header = make_elf_header(ET_CORE, program_headers);
  header.e_flags = complete ? 0 : kElfIncomplete;
  return header;
}

template <typename T>
void append_object(std::vector<std::byte>& bytes, const T& object) {
  const auto view = std::as_bytes(std::span(&object, 1));
  bytes.insert(bytes.end(), view.begin(), view.end());
}

/// drgn takes a dump in which every p_paddr is 0 for one without physical addresses
/// (libdrgn/program.c, have_phys_addrs). A machine whose memory is one piece from 0 on looks like
/// that, so its only PT_LOAD becomes two.
void split_only_load(std::vector<ElfLoad>& loads) {
  if (loads.size() != 1 || loads[0].first != Gfn{0} || loads[0].memory_frames <= kFirstMegabyte)
    return;
  ElfLoad& low = loads[0];
  const std::uint64_t in_low = std::min(low.file_frames, kFirstMegabyte);
  const ElfLoad rest{Gfn{kFirstMegabyte}, low.memory_frames - kFirstMegabyte,
                     low.file_frames - in_low, low.file_offset + (in_low << kFrameShift)};
  low.memory_frames = kFirstMegabyte;
  low.file_frames = in_low;
  loads.push_back(rest);
}

}  // namespace

ElfTable::ElfTable(const VmcoreLayout& layout, const KernelIdentity& identity)
    : page_offset_(identity.page_offset) {
  for (const LoadSegment& segment : layout.segments) {
    if (segment.virt.value >= kKernelTextMap && images_.size() < kExtraHeaders)
      images_.push_back(segment);
    else if (segment.virt.value != 0 && segment.virt.value < kKernelTextMap)
      direct_map_.push_back(segment);
  }
  if (images_.empty() && identity.image.memory_bytes > 0) images_.push_back(identity.image);
  std::stable_sort(direct_map_.begin(), direct_map_.end(),
                   [](const LoadSegment& a, const LoadSegment& b) { return a.phys < b.phys; });
}

GuestVirt ElfTable::virtual_address(GuestPhys phys) const {
  const auto behind = std::upper_bound(
      direct_map_.begin(), direct_map_.end(), phys,
      [](GuestPhys value, const LoadSegment& segment) { return value < segment.phys; });
  if (behind != direct_map_.begin()) {
    const LoadSegment& segment = *std::prev(behind);
    if (phys.value - segment.phys.value < segment.memory_bytes)
      return {segment.virt.value + (phys.value - segment.phys.value)};
  }
  // A dump of another format has segments without virtual addresses.
  const GuestVirt start = page_offset_;
  return start.value == 0 ? GuestVirt{} : GuestVirt{start.value + phys.value};
}

/// /proc/vmcore describes the kernel's text a second time, at the address it runs at. So do we, by
/// headers that point at the same bytes.
void ElfTable::add_text_aliases(std::vector<ElfLoad>& loads,
                                std::vector<GuestVirt>& addresses) const {
  const std::size_t count = loads.size();
  std::size_t added = 0;
  for (const LoadSegment& segment : images_) {
    const Gfn begin = frame_of(segment.phys);
    const Gfn end = frame_of({segment.phys.value + segment.memory_bytes});
    for (std::size_t i = 0; i < count && added + 2 < kExtraHeaders; ++i) {
      const ElfLoad load = loads[i];
      const Gfn from = std::max(begin, load.first);
      const Gfn to = std::min(end, Gfn{load.first.value + load.file_frames});
      if (from >= to) continue;
      const std::uint64_t frames = to.value - from.value;
      loads.push_back({from, frames, frames,
                       load.file_offset + ((from.value - load.first.value) << kFrameShift)});
      addresses.push_back({segment.virt.value + (address_of(from).value - segment.phys.value)});
      ++added;
    }
  }
}

std::vector<std::byte> ElfTable::headers(std::vector<ElfLoad> loads, std::uint64_t notes_offset,
                                         std::uint64_t notes_bytes, bool complete) const {
  split_only_load(loads);
  std::vector<GuestVirt> addresses;
  addresses.reserve(loads.size() + kExtraHeaders);
  for (const ElfLoad& load : loads) addresses.push_back(virtual_address(address_of(load.first)));
  add_text_aliases(loads, addresses);

  std::vector<std::byte> bytes;
  append_object(bytes, make_file_header(loads.size() + 1, complete));
  Elf64_Phdr note{};
  note.p_type = PT_NOTE;
  note.p_offset = notes_offset;
  note.p_filesz = note.p_memsz = notes_bytes;
  append_object(bytes, note);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    Elf64_Phdr header{};
    header.p_type = PT_LOAD;
    header.p_flags = PF_R | PF_W | PF_X;
    header.p_offset = loads[i].file_offset;
    header.p_vaddr = addresses[i].value;
    header.p_paddr = address_of(loads[i].first).value;
    header.p_filesz = loads[i].file_frames << kFrameShift;
    header.p_memsz = loads[i].memory_frames << kFrameShift;
    append_object(bytes, header);
  }
  return bytes;
}

}  // namespace hadump
