// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/foreign_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace hadump {
namespace {

using std::string_view_literals::operator""sv;

struct Kind {
  std::size_t offset;
  std::string_view bytes;
  const char* text;
};

constexpr Kind kKinds[] = {
    {0, "\x1f\x8b"sv, "compressed with gzip: unpack it with gunzip first"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "compressed with xz: unpack it with unxz first"},
    {0, "\x28\xb5\x2f\xfd"sv, "compressed with zstd: unpack it with unzstd first"},
    {0, "BZh"sv, "compressed with bzip2: unpack it with bunzip2 first"},
    {0, "\x04\x22\x4d\x18"sv, "compressed with lz4: unpack it with unlz4 first"},
    {257, "ustar"sv, "a tar archive: unpack it with tar -x first"},
    {0, "LibvirtQemudSave"sv,
     "a saved domain of libvirt: use virsh dump --memory-only to get a dump"},
    {0, "LibvirtQemudPart"sv, "a saved domain of libvirt that is not complete"},
    {0, "QEVM"sv, "a saved state of QEMU: use dump-guest-memory or virsh dump --memory-only"},
    {0, "XenSavedDomain"sv, "a domain saved by an old Xen: use xl dump-core to get a dump"},
    {0, "Xl saved domain"sv, "a domain saved by xl save: use xl dump-core to get a dump"},
    {0, "PAGEDU64"sv, "a dump of Windows"},
    {0, "PAGEDUMP"sv, "a dump of Windows"},
    {0, "\xd2\xbe\xd2\xbe"sv, "a snapshot of VMware: convert it with vmss2core"},
    {0, "DISKDUMP"sv, "a dump of the diskdump service, older than kdump: crash opens it"},
};

}  // namespace

std::optional<std::string> describe_foreign_file(const ByteFile& file) {
  if (file.size() == 0) return "the file is empty";
  std::array<char, 512> begin{};
  const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), begin.size()));
  if (!file.read_at(std::as_writable_bytes(std::span(begin).first(bytes)), 0)) return std::nullopt;
  for (const Kind& kind : kKinds)
    if (std::memcmp(begin.data() + kind.offset, kind.bytes.data(), kind.bytes.size()) == 0)
      return kind.text;
  return std::nullopt;
}

}  // namespace hadump
