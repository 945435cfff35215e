// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/kernel_image.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "core/abi/hadump_abi.h"

namespace hadump {
namespace {

constexpr std::uint32_t kNotePhys32Entry = 18;  // xen/include/public/elfnote.h
constexpr std::size_t kMaxKernelHeaders = 64;

template <typename T>
bool load(std::span<const std::byte> file, std::uint64_t offset, T& out) {
  if (file.size() < sizeof(T) || offset > file.size() - sizeof(T)) return false;
  std::memcpy(&out, file.data() + offset, sizeof(T));
  return true;
}

bool has_bytes(std::span<const std::byte> file, std::uint64_t offset, std::uint64_t bytes) {
  return bytes <= file.size() && offset <= file.size() - bytes;
}

// The entry address if `notes` holds Xen's note of it, else 0.
std::uint64_t entry_in(std::span<const std::byte> notes) {
  std::uint64_t at = 0;
  Elf64_Nhdr note;
  while (load(notes, at, note)) {
    const std::uint64_t name = at + sizeof(note);
    const std::uint64_t desc = name + round_up(note.n_namesz, 4);
    if (!has_bytes(notes, desc, note.n_descsz)) return 0;
    if (note.n_type == kNotePhys32Entry && note.n_namesz == 4 &&
        std::memcmp(notes.data() + name, "Xen", 4) == 0) {
      std::uint64_t value = 0;
      std::memcpy(&value, notes.data() + desc, std::min<std::size_t>(note.n_descsz, sizeof(value)));
      return value;
    }
    at = desc + round_up(note.n_descsz, 4);
  }
  return 0;
}

}  // namespace

FrameRange KernelImage::extent() const {
  std::uint64_t begin = UINT64_MAX;
  std::uint64_t end = 0;
  for (const Segment& segment : segments) {
    begin = std::min(begin, segment.address.value);
    end = std::max(end, segment.address.value + segment.memory_bytes);
  }
  return {Gfn{begin >> kFrameShift}, Gfn{round_up(end, kFrameSize) >> kFrameShift}};
}

bool is_elf(std::span<const std::byte> file) {
  return file.size() >= SELFMAG && std::memcmp(file.data(), ELFMAG, SELFMAG) == 0;
}

Result<KernelImage> parse_kernel(std::span<const std::byte> file) {
  Elf64_Ehdr header;
  if (!load(file, 0, header) || !is_elf(file) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_machine != EM_X86_64)
    return fail(
        ErrorCode::kUnsupported,
        "not an x86-64 ELF kernel (if it is a boot loader, hadumpd.conf must name the kernel, "
        "ramdisk and cmdline to boot after a crash)");
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kMaxKernelHeaders)
    return fail(ErrorCode::kBadData, "a kernel with impossible program headers");
  KernelImage image;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!load(file, header.e_phoff + i * sizeof(segment), segment) ||
        !has_bytes(file, segment.p_offset, segment.p_filesz))
      return fail(ErrorCode::kBadData, "a truncated kernel");
    const auto data = file.subspan(segment.p_offset, segment.p_filesz);
    if (segment.p_type == PT_NOTE && image.entry.value == 0)
      image.entry = GuestPhys{entry_in(data)};
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
    if (segment.p_filesz > segment.p_memsz || segment.p_memsz > HADUMP_MAX_ADDRESS ||
        segment.p_paddr > HADUMP_MAX_ADDRESS - segment.p_memsz)
      return fail(ErrorCode::kBadData, "a kernel segment at an impossible address");
    image.segments.push_back({GuestPhys{segment.p_paddr}, segment.p_memsz, data});
  }
  if (image.segments.empty()) return fail(ErrorCode::kBadData, "a kernel without anything to load");
  if (image.entry.value == 0 || image.entry.value > UINT32_MAX)
    return fail(ErrorCode::kUnsupported, "a kernel without a PVH entry (CONFIG_PVH)");
  return image;
}

Result<std::span<const std::byte>> bzimage_payload(std::span<const std::byte> file) {
  // Offsets from Linux Documentation/x86/boot.rst; payload_* since protocol 2.08.
  std::uint8_t setup_sectors = 0;
  std::uint32_t magic = 0;
  std::uint16_t version = 0;
  std::uint32_t payload_offset = 0;
  std::uint32_t payload_bytes = 0;
  if (!load(file, 0x1f1, setup_sectors) || !load(file, 0x202, magic) || magic != 0x53726448 ||
      !load(file, 0x206, version) || version < 0x208 || !load(file, 0x248, payload_offset) ||
      !load(file, 0x24c, payload_bytes))
    return fail(ErrorCode::kUnsupported, "neither an ELF kernel nor a bzImage");
  constexpr unsigned kDefaultSetupSectors = 4;
  const std::uint64_t start =
      ((setup_sectors == 0 ? kDefaultSetupSectors : setup_sectors) + 1) * std::uint64_t{512} +
      payload_offset;
  if (!has_bytes(file, start, payload_bytes))
    return fail(ErrorCode::kBadData, "a truncated bzImage");
  return file.subspan(start, payload_bytes);
}

Result<std::vector<std::byte>> extract_kernel(std::vector<std::byte> file) {
  if (is_elf(file)) return file;
  auto payload = bzimage_payload(file);
  if (!payload) return fail(std::move(payload));
  return unpack(*payload);
}

}  // namespace hadump
