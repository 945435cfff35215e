// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/core/vmcore/kdump_builder.h"

#include <lzo/lzo1x.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdlib>
#include <cstring>

#include "core/base/endian.h"

namespace hadump {
namespace {

constexpr std::uint64_t kNotesInSubHeader = 512;

std::vector<std::byte> compressed(const std::vector<std::byte>& page, std::uint32_t codec) {
  std::vector<std::byte> out(2 * kFrameSize);
  const auto* in = reinterpret_cast<const unsigned char*>(page.data());
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  std::size_t size = out.size();
  bool good = true;
  if (codec == kKdumpZlib) {
    uLongf length = size;
    good = ::compress(to, &length, in, page.size()) == Z_OK;
    size = length;
  } else if (codec == kKdumpLzo) {
    std::vector<unsigned char> work(LZO1X_1_MEM_COMPRESS);
    lzo_uint length = 0;
    good = ::lzo1x_1_compress(in, page.size(), to, &length, work.data()) == LZO_E_OK;
    size = length;
  } else if (codec == kKdumpSnappy) {
    good = ::snappy_compress(reinterpret_cast<const char*>(in), page.size(),
                             reinterpret_cast<char*>(to), &size) == SNAPPY_OK;
  } else if (codec == kKdumpZstd) {
    size = ::ZSTD_compress(to, size, in, page.size(), 1);
    good = ::ZSTD_isError(size) == 0;
  } else {
    return page;
  }
  if (!good) std::abort();
  out.resize(size);
  return out;
}

template <typename T>
void put(std::vector<std::byte>& file, std::uint64_t at, const T& value) {
  std::memcpy(file.data() + at, &value, sizeof value);
}

}  // namespace

KdumpBuilder::KdumpBuilder(std::uint64_t max_mapnr) {
  header.sub_header_blocks = 1;
  header.bitmap_blocks =
      static_cast<std::uint32_t>(2 * ((max_mapnr + kFrameSize * 8 - 1) / (kFrameSize * 8)));
  header.max_mapnr = static_cast<std::uint32_t>(max_mapnr);
  sub_header.max_mapnr_64 = max_mapnr;
  sub_header.end_pfn_64 = max_mapnr;
}

KdumpBuilder& KdumpBuilder::add_page(std::uint64_t pfn, unsigned fill, std::uint32_t codec) {
  const std::vector<std::byte> page(kFrameSize, static_cast<std::byte>(fill));
  pages_[pfn] = {compressed(page, codec), codec, {}, false};
  return *this;
}

KdumpBuilder& KdumpBuilder::add_left_out(std::uint64_t pfn) {
  pages_[pfn] = {{}, 0, {}, true};
  return *this;
}

KdumpBuilder& KdumpBuilder::add_descriptor(std::uint64_t pfn, KdumpPageDesc desc) {
  pages_[pfn] = {{}, 0, desc, false};
  return *this;
}

KdumpBuilder& KdumpBuilder::set_notes(std::vector<std::byte> notes) {
  notes_ = std::move(notes);
  sub_header.note_offset = kFrameSize + kNotesInSubHeader;
  sub_header.note_size = notes_.size();
  return *this;
}

std::vector<std::byte> KdumpBuilder::build() const {
  const std::uint64_t bitmap1 = 2 * kFrameSize;
  const std::uint64_t bitmap_bytes = header.bitmap_blocks / 2 * kFrameSize;
  const std::uint64_t bitmap2 = bitmap1 + bitmap_bytes;
  std::uint64_t desc_at = bitmap2 + bitmap_bytes;
  std::uint64_t data_at = desc_at + pages_.size() * sizeof(KdumpPageDesc);
  std::vector<std::byte> file(data_at);
  put(file, 0, header);
  put(file, kFrameSize, sub_header);
  if (!notes_.empty())
    std::memcpy(file.data() + kFrameSize + kNotesInSubHeader, notes_.data(), notes_.size());
  for (const auto& [pfn, page] : pages_) {
    file[bitmap1 + pfn / 8] |= std::byte{1} << (pfn % 8);
    if (page.left_out) continue;
    file[bitmap2 + pfn / 8] |= std::byte{1} << (pfn % 8);
    const bool mine =
        sub_header.split == 0 || (sub_header.start_pfn_64 <= pfn && pfn < sub_header.end_pfn_64);
    if (!mine) continue;
    const KdumpPageDesc desc = page.desc.value_or(
        KdumpPageDesc{data_at, static_cast<std::uint32_t>(page.data.size()), page.codec, 0});
    put(file, desc_at, desc);
    desc_at += sizeof desc;
    file.insert(file.end(), page.data.begin(), page.data.end());
    data_at += page.data.size();
  }
  return file;
}

std::vector<std::byte> flatten(const std::vector<std::byte>& file, std::size_t record_bytes) {
  struct Record {
    be64 offset, bytes;
  };
  std::vector<std::byte> flat(4096);
  std::memcpy(flat.data(), "makedumpfile", 12);
  put(flat, 16, be64(1));
  put(flat, 24, be64(1));
  const auto append = [&](std::uint64_t offset, std::uint64_t bytes) {
    const Record record{offset, bytes};
    const auto raw = std::as_bytes(std::span(&record, 1));
    flat.insert(flat.end(), raw.begin(), raw.end());
  };
  for (std::size_t at = round_up(file.size(), record_bytes); at > 0;) {
    at -= record_bytes;
    const std::size_t part = std::min(record_bytes, file.size() - at);
    append(at, part);
    flat.insert(flat.end(), file.begin() + static_cast<std::ptrdiff_t>(at),
                file.begin() + static_cast<std::ptrdiff_t>(at + part));
  }
  append(~std::uint64_t{0}, ~std::uint64_t{0});
  return flat;
}

}  // namespace hadump
