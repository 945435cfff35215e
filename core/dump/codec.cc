// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/codec.h"

#include <fmt/format.h>
#include <libdeflate.h>
#include <snappy-c.h>
#include <zstd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>

#include "core/base/unique_handle.h"
#include "core/dump/lzo_encoder.h"

namespace hadump {
namespace {

constexpr std::array<std::pair<std::string_view, CodecKind>, 6> kNames{{
    {"none", CodecKind::kNone},
    {"zlib", CodecKind::kZlib},
    {"lzo", CodecKind::kLzo},
    {"snappy", CodecKind::kSnappy},
    {"zstd", CodecKind::kZstd},
    {"auto", CodecKind::kAuto},
}};

/// Ordinary zlib streams, in less than half of zlib's time (docs/benchmarks.md).
class ZlibCompressor : public PageCompressor {
 public:
  Result<> open(int level) {
    compressor_.reset(libdeflate_alloc_compressor(level));
    if (!compressor_) return fail_os(ENOMEM, "setting up zlib");
    return {};
  }

  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    // Room for less than a page: what does not shrink is given up.
    const std::size_t size = libdeflate_zlib_compress(compressor_.get(), page.data(), page.size(),
                                                      out.data(), kFrameSize - 1);
    return size == 0 ? kFrameSize : size;
  }

 private:
  UniqueHandle<libdeflate_compressor, libdeflate_free_compressor> compressor_;
};

class LzoCompressor : public PageCompressor {
 public:
  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    return encoder_.encode(page, out);
  }

 private:
  LzoEncoder encoder_;
};
static_assert(LzoEncoder::kMaxOutput <= kMaxCompressedPage);

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

class ZstdCompressor : public PageCompressor {
 public:
  Result<> open(int level) {
    context_.reset(ZSTD_createCCtx());
    if (!context_) return fail_os(ENOMEM, "setting up zstd");
    if (ZSTD_isError(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level)))
      return fail(ErrorCode::kBadData, fmt::format("zstd has no level {}", level));
    return {};
  }

  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    const std::size_t size =
        ZSTD_compress2(context_.get(), out.data(), out.size(), page.data(), page.size());
    return ZSTD_isError(size) ? kFrameSize : size;
  }

 private:
  UniqueHandle<ZSTD_CCtx, ZSTD_freeCCtx> context_;
};

template <typename Compressor>
Result<std::unique_ptr<PageCompressor>> open_compressor(int level) {
  auto compressor = std::make_unique<Compressor>();
  if (auto opened = compressor->open(level); !opened) return fail(std::move(opened));
  return compressor;
}

Result<> check_level(CodecChoice choice) {
  const bool fits = choice.kind == CodecKind::kZlib ? choice.level >= 0 && choice.level <= 9
                    : choice.kind == CodecKind::kZstd
                        ? choice.level >= kMinZstdLevel && choice.level <= 19
                        : choice.level == 0;
  if (!fits)
    return fail(ErrorCode::kBadData,
                fmt::format("{} has no level {}", to_string(choice.kind), choice.level));
  return {};
}

}  // namespace

std::string_view to_string(CodecKind kind) {
  for (const auto& [name, value] : kNames)
    if (value == kind) return name;
  return "unknown";
}

Result<CodecChoice> parse_codec(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  for (const auto& [known, kind] : kNames) {
    if (known != name) continue;
    CodecChoice choice{kind, 0};
    if (colon != std::string_view::npos) {
      const std::string_view level = text.substr(colon + 1);
      const auto [end, error] =
          std::from_chars(level.data(), level.data() + level.size(), choice.level);
      if (error != std::errc{} || end != level.data() + level.size() || choice.level == 0)
        return fail(ErrorCode::kBadData, fmt::format("\"{}\" is not a compression level", level));
    }
    if (auto checked = check_level(choice); !checked) return fail(std::move(checked));
    return choice;
  }
  return fail(ErrorCode::kBadData,
              fmt::format("\"{}\" is not one of none, zlib, lzo, snappy, zstd, auto", name));
}

Result<std::unique_ptr<PageCompressor>> make_compressor(CodecChoice choice) {
  if (auto checked = check_level(choice); !checked) return fail(std::move(checked));
  const int level = choice.level == 0 ? 1 : choice.level;
  switch (choice.kind) {
    case CodecKind::kZlib:
      return open_compressor<ZlibCompressor>(level);
    case CodecKind::kZstd:
      return open_compressor<ZstdCompressor>(level);
    case CodecKind::kLzo:
      return std::make_unique<LzoCompressor>();
    case CodecKind::kSnappy:
      return std::make_unique<SnappyCompressor>();
    case CodecKind::kNone:
    case CodecKind::kAuto:
      break;
  }
  return fail(ErrorCode::kBadData, "no such compressor");
}

}  // namespace hadump
