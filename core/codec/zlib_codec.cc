// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/codec/zlib_codec.h"

#include <libdeflate.h>
#include <zlib.h>

#include <cerrno>

#include "core/base/unique_handle.h"

namespace hadump {
namespace {

using Handle = UniqueHandle<libdeflate_compressor, libdeflate_free_compressor>;

class ZlibCompressor : public PageCompressor {
 public:
  explicit ZlibCompressor(Handle compressor) : compressor_(std::move(compressor)) {}

  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    // Room for less than a page: what does not shrink is given up.
    const std::size_t size = libdeflate_zlib_compress(compressor_.get(), page.data(), page.size(),
                                                      out.data(), kFrameSize - 1);
    return size == 0 ? kFrameSize : size;
  }

 private:
  Handle compressor_;
};

class ZlibDecompressor : public PageDecompressor {
 public:
  bool expand(std::span<const std::byte> data, std::span<std::byte> page) override {
    uLongf size = page.size();
    const int r =
        ::uncompress(reinterpret_cast<Bytef*>(page.data()), &size,
                     reinterpret_cast<const Bytef*>(data.data()), static_cast<uLong>(data.size()));
    return r == Z_OK && size == page.size();
  }
};

}  // namespace

Result<std::unique_ptr<PageCompressor>> open_zlib_compressor(int level) {
  Handle compressor(libdeflate_alloc_compressor(level));
  if (!compressor) return fail_os(ENOMEM, "setting up zlib");
  return std::make_unique<ZlibCompressor>(std::move(compressor));
}

Result<std::unique_ptr<PageDecompressor>> open_zlib_decompressor() {
  return std::make_unique<ZlibDecompressor>();
}

}  // namespace hadump
