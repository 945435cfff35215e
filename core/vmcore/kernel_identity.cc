// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/kernel_identity.h"

#include <array>
#include <cstring>

#include "core/base/printable.h"
#include "core/vmcore/address_space.h"
#include "core/vmcore/vmcoreinfo.h"

namespace hadump {
namespace {

// struct new_utsname (include/uapi/linux/utsname.h): six fields of 65 bytes, in this order.
constexpr std::size_t kFieldBytes = 65;
constexpr std::size_t kFields = 6;

void take_field(const std::array<char, kFieldBytes * kFields>& names, std::size_t index,
                std::string& field) {
  const char* text = names.data() + index * kFieldBytes;
  std::string found = printable({text, ::strnlen(text, kFieldBytes - 1)});
  if (!found.empty()) field = std::move(found);
}

/// KERNEL_IMAGE_SIZE with KASLR (arch/x86/include/asm/page_64_types.h): no image is longer.
constexpr std::uint64_t kMaxImageBytes = 1_GiB;

LoadSegment find_image(const AddressSpace& space, const Vmcoreinfo& info) {
  LoadSegment image;
  const auto start = info.symbol("_stext");
  if (!start) return image;
  PageTableWalker walker = space.walker();
  std::uint64_t bytes = 0;
  while (bytes < kMaxImageBytes && start->value + bytes >= start->value) {
    const auto piece = walker.translate(GuestVirt{start->value + bytes});
    if (!piece || piece->bytes == 0) break;
    if (bytes == 0) image.phys = piece->phys;
    if (piece->phys.value != image.phys.value + bytes) break;
    bytes += piece->bytes;
  }
  if (bytes == 0) return image;
  image.virt = *start;
  image.memory_bytes = bytes;
  return image;
}

/// What the dump's header says; what can be read is better.
void take_header(const HeaderFacts& header, KernelIdentity& identity) {
  const auto take = [](const std::string& said, std::string& field) {
    if (!said.empty()) field = said;
  };
  take(header.sysname, identity.sysname);
  take(header.nodename, identity.nodename);
  take(header.release, identity.release);
  take(header.version, identity.version);
  take(header.domainname, identity.domainname);
}

}  // namespace

KernelIdentity identify_kernel(const VmcoreSource& source) {
  KernelIdentity identity;
  take_header(source.layout().header, identity);
  const auto info = Vmcoreinfo::parse(vmcoreinfo_text(source.layout()));
  if (!info) return identity;
  if (const auto release = info->text("OSRELEASE"); release && !release->empty())
    identity.release = printable(release->substr(0, kFieldBytes - 1));
  const auto space = AddressSpace::open(source, *info);
  if (!space) return identity;
  if (const auto start = space->page_offset()) identity.page_offset = *start;
  identity.image = find_image(*space, *info);
  const auto uts = info->symbol("init_uts_ns");
  if (!uts) return identity;
  const std::uint64_t offset = info->uts_name_offset();
  std::array<char, kFieldBytes * kFields> names{};
  if (!space->read(GuestVirt{uts->value + offset}, std::as_writable_bytes(std::span(names))))
    return identity;
  take_field(names, 0, identity.sysname);
  take_field(names, 1, identity.nodename);
  take_field(names, 2, identity.release);
  take_field(names, 3, identity.version);
  take_field(names, 4, identity.machine);
  take_field(names, 5, identity.domainname);
  return identity;
}

}  // namespace hadump
