// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/codec/snappy_codec.h"

#include <snappy-c.h>

namespace hadump {
namespace {

class SnappyCompressor : public PageCompressor {
 public:
  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    std::size_t size = out.size();
    if (snappy_compress(reinterpret_cast<const char*>(page.data()), page.size(),
                        reinterpret_cast<char*>(out.data()), &size) != SNAPPY_OK)
      return kFrameSize;
    return size;
  }
};

class SnappyDecompressor : public PageDecompressor {
 public:
  bool expand(std::span<const std::byte> data, std::span<std::byte> page) override {
    const auto* in = reinterpret_cast<const char*>(data.data());
    std::size_t size = 0;
    return snappy_uncompressed_length(in, data.size(), &size) == SNAPPY_OK && size == page.size() &&
           snappy_uncompress(in, data.size(), reinterpret_cast<char*>(page.data()), &size) ==
               SNAPPY_OK;
  }
};

}  // namespace

Result<std::unique_ptr<PageCompressor>> open_snappy_compressor(int /*level*/) {
  return std::make_unique<SnappyCompressor>();
}

Result<std::unique_ptr<PageDecompressor>> open_snappy_decompressor() {
  return std::make_unique<SnappyDecompressor>();
}

}  // namespace hadump
