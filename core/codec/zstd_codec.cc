// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/codec/zstd_codec.h"

#include <fmt/format.h>
#include <zstd.h>

#include <cerrno>

#include "core/base/unique_handle.h"

namespace hadump {
namespace {

using CompressContext = UniqueHandle<ZSTD_CCtx, ZSTD_freeCCtx>;
using DecompressContext = UniqueHandle<ZSTD_DCtx, ZSTD_freeDCtx>;

class ZstdCompressor : public PageCompressor {
 public:
  explicit ZstdCompressor(CompressContext context) : context_(std::move(context)) {}

  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    const std::size_t size =
        ZSTD_compress2(context_.get(), out.data(), out.size(), page.data(), page.size());
    return ZSTD_isError(size) ? kFrameSize : size;
  }

 private:
  CompressContext context_;
};

class ZstdDecompressor : public PageDecompressor {
 public:
  explicit ZstdDecompressor(DecompressContext context) : context_(std::move(context)) {}

  bool expand(std::span<const std::byte> data, std::span<std::byte> page) override {
    return ZSTD_decompressDCtx(context_.get(), page.data(), page.size(), data.data(),
                               data.size()) == page.size();
  }

 private:
  DecompressContext context_;
};

}  // namespace

Result<std::unique_ptr<PageCompressor>> open_zstd_compressor(int level) {
  CompressContext context(ZSTD_createCCtx());
  if (!context) return fail_os(ENOMEM, "setting up zstd");
  if (ZSTD_isError(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level)))
    return fail(ErrorCode::kBadData, fmt::format("zstd does not know level {}", level));
  return std::make_unique<ZstdCompressor>(std::move(context));
}

Result<std::unique_ptr<PageDecompressor>> open_zstd_decompressor() {
  DecompressContext context(ZSTD_createDCtx());
  if (!context) return fail_os(ENOMEM, "setting up zstd");
  return std::make_unique<ZstdDecompressor>(std::move(context));
}

}  // namespace hadump
