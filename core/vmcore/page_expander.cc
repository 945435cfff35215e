// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/page_expander.h"

#include <lzo/lzo1x.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>

#include "core/base/units.h"

namespace hadump {
namespace {

tl::unexpected<Error> damaged(const char* codec) {
  return fail(ErrorCode::kBadData, std::string("the page's ") + codec + " data is damaged");
}

Result<> expand_zlib(std::span<const std::byte> data, std::span<std::byte> page) {
  uLongf size = page.size();
  const int r = ::uncompress(reinterpret_cast<Bytef*>(page.data()), &size,
                             reinterpret_cast<const Bytef*>(data.data()), data.size());
  if (r != Z_OK || size != page.size()) return damaged("zlib");
  return {};
}

Result<> expand_lzo(std::span<const std::byte> data, std::span<std::byte> page) {
  lzo_uint size = page.size();
  const int r =
      ::lzo1x_decompress_safe(reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                              reinterpret_cast<unsigned char*>(page.data()), &size, nullptr);
  if (r != LZO_E_OK || size != page.size()) return damaged("lzo");
  return {};
}

Result<> expand_snappy(std::span<const std::byte> data, std::span<std::byte> page) {
  const auto* in = reinterpret_cast<const char*>(data.data());
  std::size_t size = 0;
  if (::snappy_uncompressed_length(in, data.size(), &size) != SNAPPY_OK || size != page.size())
    return damaged("snappy");
  if (::snappy_uncompress(in, data.size(), reinterpret_cast<char*>(page.data()), &size) !=
      SNAPPY_OK)
    return damaged("snappy");
  return {};
}

}  // namespace

PageExpander::PageExpander() = default;
PageExpander::~PageExpander() = default;

void PageExpander::FreeContext::operator()(ZSTD_DCtx_s* context) const noexcept {
  ::ZSTD_freeDCtx(context);
}

Result<> PageExpander::expand_zstd(std::span<const std::byte> data, std::span<std::byte> page) {
  if (!zstd_) zstd_.reset(::ZSTD_createDCtx());
  if (!zstd_) return fail_os(ENOMEM, "zstd");
  if (::ZSTD_decompressDCtx(zstd_.get(), page.data(), page.size(), data.data(), data.size()) !=
      page.size())
    return damaged("zstd");
  return {};
}

Result<> PageExpander::expand(std::uint32_t flags, std::span<const std::byte> data,
                              std::span<std::byte> page) {
  switch (flags & (kKdumpZlib | kKdumpLzo | kKdumpSnappy | kKdumpZstd)) {
    case kKdumpZlib:
      return expand_zlib(data, page);
    case kKdumpLzo:
      return expand_lzo(data, page);
    case kKdumpSnappy:
      return expand_snappy(data, page);
    case kKdumpZstd:
      return expand_zstd(data, page);
    case 0:
      if (data.size() != page.size()) return damaged("raw");
      std::memcpy(page.data(), data.data(), page.size());
      return {};
    default:
      return fail(ErrorCode::kBadData, "the page claims several codecs");
  }
}

}  // namespace hadump
