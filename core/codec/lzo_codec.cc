// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/codec/lzo_codec.h"

#include <lzo/lzo1x.h>

#include "core/codec/lzo_encoder.h"

namespace hadump {
namespace {

class LzoCompressor : public PageCompressor {
 public:
  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    return encoder_.encode(page, out);
  }

 private:
  LzoEncoder encoder_;
};
static_assert(LzoEncoder::kMaxOutput <= kMaxCompressedPage);

class LzoDecompressor : public PageDecompressor {
 public:
  bool expand(std::span<const std::byte> data, std::span<std::byte> page) override {
    lzo_uint size = page.size();
    const int r =
        ::lzo1x_decompress_safe(reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                                reinterpret_cast<unsigned char*>(page.data()), &size, nullptr);
    return r == LZO_E_OK && size == page.size();
  }
};

}  // namespace

Result<std::unique_ptr<PageCompressor>> open_lzo_compressor(int /*level*/) {
  return std::make_unique<LzoCompressor>();
}

Result<std::unique_ptr<PageDecompressor>> open_lzo_decompressor() {
  return std::make_unique<LzoDecompressor>();
}

}  // namespace hadump
