#include "core/dump/codec.h"

#include <fmt/format.h>
#include <lzo/lzo1x.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>

#include "core/base/unique_handle.h"

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

const unsigned char* bytes_of(std::span<const std::byte> data) {
  return reinterpret_cast<const unsigned char*>(data.data());
}
unsigned char* bytes_of(std::span<std::byte> data) {
  return reinterpret_cast<unsigned char*>(data.data());
}

class ZlibCompressor : public PageCompressor {
 public:
  ~ZlibCompressor() override { static_cast<void>(deflateEnd(&stream_)); }

  /// A page needs no window over 4 KiB, and deflateReset() has to clear what is larger for every
  /// page. Smaller hash tables (memory levels below 8) were measured to be slower.
  Result<> open(int level) {
    constexpr int kWindowBits = 12;
    constexpr int kMemoryLevel = 8;
    if (deflateInit2(&stream_, level, Z_DEFLATED, kWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
        Z_OK)
      return fail_os(ENOMEM, "setting up zlib");
    return {};
  }

  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    static_cast<void>(deflateReset(&stream_));
    stream_.next_in = const_cast<unsigned char*>(bytes_of(page));  // zlib's old-style signature
    stream_.avail_in = static_cast<uInt>(page.size());
    stream_.next_out = bytes_of(out);
    // Room for less than a page: deflate then gives up on what does not shrink.
    stream_.avail_out = kFrameSize - 1;
    if (deflate(&stream_, Z_FINISH) != Z_STREAM_END) return kFrameSize;
    return stream_.total_out;
  }

 private:
  z_stream stream_{};
};

class LzoCompressor : public PageCompressor {
 public:
  std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) override {
    lzo_uint size = 0;
    // The 1(11) variant's tables are an eighth of lzo1x_1's: a page has 4096 positions at most, so
    // nothing is lost, and there is less to clear for every page. The format is the same.
    static_cast<void>(
        lzo1x_1_11_compress(bytes_of(page), page.size(), bytes_of(out), &size, work_.get()));
    return size;
  }

 private:
  std::unique_ptr<std::max_align_t[]> work_ =
      std::make_unique<std::max_align_t[]>(LZO1X_1_11_MEM_COMPRESS / sizeof(std::max_align_t) + 1);
};

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
      return fail(ErrorCode::kBadData, fmt::format("zstd does not know level {}", level));
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
      if (lzo_init() != LZO_E_OK) return fail_os(ENOSYS, "setting up lzo");
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
