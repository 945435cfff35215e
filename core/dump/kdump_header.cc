// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/kdump_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#include "core/vmcore/kdump_layout.h"

namespace hadump {
namespace {

template <std::size_t N>
void copy_text(std::array<char, N>& to, std::string_view text) {
  std::copy_n(text.begin(), std::min(text.size(), N - 1), to.begin());
}

/// The value of a "KEY=VALUE" line; empty when there is none.
std::string_view vmcoreinfo_value(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == '=')
      return line.substr(key.size() + 1);
  }
  return {};
}

/// A decimal; `otherwise` when there is none.
std::int64_t vmcoreinfo_number(std::string_view vmcoreinfo, std::string_view key,
                               std::int64_t otherwise) {
  const std::string_view text = vmcoreinfo_value(vmcoreinfo, key);
  std::int64_t value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t sub_header_bytes(const NoteBytes& notes) {
  return round_up(sizeof(KdumpSubHeader) + notes.bytes.size(), kKdumpBlock);
}

KdumpHeader make_header(const FormatInput& input, const NoteBytes& notes, const KdumpPart& part) {
  const KernelIdentity& identity = input.identity;
  KdumpHeader header;
  copy_text(header.utsname.sysname, identity.sysname);
  copy_text(header.utsname.nodename, identity.nodename);
  copy_text(header.utsname.release, identity.release);
  copy_text(header.utsname.version, identity.version);
  copy_text(header.utsname.machine, identity.machine);
  copy_text(header.utsname.domainname, identity.domainname);
  header.seconds = vmcoreinfo_number(vmcoreinfo_text(*input.layout), "CRASHTIME",
                                     static_cast<std::int64_t>(input.layout->header.crash_time_s));
  header.sub_header_blocks = static_cast<std::int32_t>(sub_header_bytes(notes) / kKdumpBlock);
  header.bitmap_blocks =
      static_cast<std::uint32_t>(2 * kdump_bitmap_bytes(part.max_mapnr) / kKdumpBlock);
  header.max_mapnr =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(part.max_mapnr, UINT32_MAX));
  header.cpus =
      static_cast<std::int32_t>(std::max<std::size_t>(1, cpu_notes(*input.layout).size()));
  return header;
}

KdumpSubHeader make_sub_header(const FormatInput& input, const NoteBytes& notes,
                               const KdumpPart& part) {
  KdumpSubHeader sub;
  // Signed, as NUMBER(phys_base)= is; readers take the field as two's complement.
  sub.phys_base = static_cast<std::uint64_t>(
      vmcoreinfo_number(vmcoreinfo_text(*input.layout), "NUMBER(phys_base)",
                        static_cast<std::int64_t>(input.layout->header.phys_base)));
  sub.max_mapnr_64 = part.max_mapnr;
  if (part.is_split) {
    sub.split = 1;
    sub.start_pfn = sub.start_pfn_64 = part.range.begin.value;
    sub.end_pfn = sub.end_pfn_64 = std::min(part.range.end.value, part.max_mapnr);
  }
  if (!notes.bytes.empty()) {
    sub.note_offset = kKdumpBlock + sizeof(sub);
    sub.note_size = notes.bytes.size();
  }
  if (notes.vmcoreinfo_size > 0) {
    sub.vmcoreinfo_offset = sub.note_offset + notes.vmcoreinfo_offset;
    sub.vmcoreinfo_size = notes.vmcoreinfo_size;
  }
  if (notes.erase_info_size > 0) {
    sub.erase_info_offset = sub.note_offset + notes.erase_info_offset;
    sub.erase_info_size = notes.erase_info_size;
  }
  return sub;
}

}  // namespace

std::uint64_t kdump_bitmap_bytes(std::uint64_t max_mapnr) {
  return round_up((max_mapnr + 7) / 8, kKdumpBlock);
}

std::uint64_t kdump_headers_bytes(const NoteBytes& notes) {
  return kKdumpBlock + sub_header_bytes(notes);
}

std::vector<std::byte> encode_kdump_headers(const FormatInput& input, const NoteBytes& notes,
                                            const KdumpPart& part, bool complete,
                                            unsigned dump_level) {
  KdumpHeader header = make_header(input, notes, part);
  header.status = input.codec_flags | (complete ? 0 : kKdumpIncomplete);
  KdumpSubHeader sub = make_sub_header(input, notes, part);
  // What the source had left out is not here either.
  sub.dump_level = static_cast<std::int32_t>(dump_level | input.layout->header.dump_level);
  std::vector<std::byte> bytes(kdump_headers_bytes(notes));
  std::memcpy(bytes.data(), &header, sizeof(header));
  std::memcpy(bytes.data() + kKdumpBlock, &sub, sizeof(sub));
  std::copy(notes.bytes.begin(), notes.bytes.end(), bytes.begin() + kKdumpBlock + sizeof(sub));
  return bytes;
}

}  // namespace hadump
