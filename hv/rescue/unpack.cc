// SPDX-License-Identifier: GPL-2.0-or-later
#include <bzlib.h>
#include <fmt/format.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "core/base/endian.h"
#include "core/base/text.h"
#include "core/base/unique_handle.h"
#include "hv/rescue/kernel_image.h"

namespace hadump {
namespace {

using Bytes = std::span<const std::byte>;
using Output = Result<std::vector<std::byte>>;

constexpr std::size_t kGrowBy = 16_MiB;

// What a header may make us allocate for what follows. Linux's own kernels need 128 MiB
// (scripts/Makefile.lib: zstd -22 --ultra, scripts/xz_wrap.sh: dict=128MiB).
constexpr int kMaxWindowLog = 28;
constexpr std::size_t kMaxWindowBytes = std::size_t{1} << kMaxWindowLog;
// liblzma counts its own structures and buffers, too.
constexpr std::size_t kMaxLzmaBytes = kMaxWindowBytes + 1_MiB;

tl::unexpected<Error> broken(const char* format) {
  return fail(ErrorCode::kBadData, fmt::format("broken {} data", format));
}

tl::unexpected<Error> large_window(const char* format) {
  return fail(ErrorCode::kUnsupported, fmt::format("{} data that needs a window of more than {}",
                                                   format, format_size(kMaxWindowBytes)));
}

/// Room for another piece of output; false when the limit is reached.
bool grow(std::vector<std::byte>& out) {
  if (out.size() >= kMaxKernelBytes) return false;
  out.resize(out.size() + kGrowBy);
  return true;
}

Output unpack_gzip(Bytes in) {
  z_stream stream{};
  constexpr int kGzipFraming = 16;
  if (inflateInit2(&stream, MAX_WBITS + kGzipFraming) != Z_OK) return broken("gzip");
  const UniqueHandle<z_stream, inflateEnd> end(&stream);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  std::vector<std::byte> out;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    const std::size_t before = out.size();
    if (!grow(out)) return broken("gzip");
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = kGrowBy;
    status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END) return broken("gzip");
    out.resize(out.size() - stream.avail_out);
  }
  return out;
}

Output unpack_bzip2(Bytes in) {
  bz_stream stream{};
  if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) return broken("bzip2");
  const UniqueHandle<bz_stream, BZ2_bzDecompressEnd> end(&stream);
  stream.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
  stream.avail_in = static_cast<unsigned>(in.size());
  std::vector<std::byte> out;
  for (int status = BZ_OK; status != BZ_STREAM_END;) {
    const std::size_t before = out.size();
    if (!grow(out)) return broken("bzip2");
    stream.next_out = reinterpret_cast<char*>(out.data() + before);
    stream.avail_out = kGrowBy;
    status = BZ2_bzDecompress(&stream);
    if (status != BZ_OK && status != BZ_STREAM_END) return broken("bzip2");
    if (status == BZ_OK && stream.avail_in == 0 && stream.avail_out != 0) return broken("bzip2");
    out.resize(out.size() - stream.avail_out);
  }
  return out;
}

// xz and the older lzma framing.
Output unpack_lzma(Bytes in) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_auto_decoder(&stream, kMaxLzmaBytes, 0) != LZMA_OK) return broken("xz");
  const std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> end(&stream, lzma_end);
  stream.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
  stream.avail_in = in.size();
  std::vector<std::byte> out;
  for (lzma_ret status = LZMA_OK; status != LZMA_STREAM_END;) {
    const std::size_t before = out.size();
    if (!grow(out)) return broken("xz");
    stream.next_out = reinterpret_cast<std::uint8_t*>(out.data() + before);
    stream.avail_out = kGrowBy;
    status = lzma_code(&stream, LZMA_RUN);
    if (status == LZMA_MEMLIMIT_ERROR) return large_window("xz");
    if (status != LZMA_OK && status != LZMA_STREAM_END) return broken("xz");
    out.resize(out.size() - stream.avail_out);
  }
  return out;
}

Output unpack_zstd(Bytes in) {
  const UniqueHandle<ZSTD_DStream, ZSTD_freeDStream> stream(ZSTD_createDStream());
  if (!stream) return broken("zstd");
  ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  std::vector<std::byte> out;
  for (std::size_t status = 1; status != 0;) {
    const std::size_t before = out.size();
    if (!grow(out)) return broken("zstd");
    ZSTD_outBuffer output{out.data() + before, kGrowBy, 0};
    status = ZSTD_decompressStream(stream.get(), &output, &input);
    if (ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge)
      return large_window("zstd");
    if (ZSTD_isError(status)) return broken("zstd");
    if (status != 0 && output.pos < output.size && input.pos == input.size) return broken("zstd");
    out.resize(before + output.pos);
  }
  return out;
}

// Linux's legacy lz4 frame: a magic, then blocks of at most 8 MiB, each after its packed size.
Output unpack_lz4(Bytes in) {
  constexpr std::size_t kBlock = 8_MiB;
  std::vector<std::byte> out;
  std::size_t at = sizeof(le32);
  while (at + 2 * sizeof(le32) <= in.size()) {
    le32 packed;
    std::memcpy(&packed, in.data() + at, sizeof(packed));
    at += sizeof(packed);
    // The last word is the unpacked size that Linux appends, not a block.
    if (packed > in.size() - at) break;
    const std::size_t before = out.size();
    if (before + kBlock > kMaxKernelBytes) return broken("lz4");
    out.resize(before + kBlock);
    const int bytes = LZ4_decompress_safe(reinterpret_cast<const char*>(in.data() + at),
                                          reinterpret_cast<char*>(out.data() + before),
                                          static_cast<int>(packed), static_cast<int>(kBlock));
    if (bytes < 0) return broken("lz4");
    out.resize(before + static_cast<std::size_t>(bytes));
    at += packed;
  }
  if (out.empty()) return broken("lz4");
  return out;
}

}  // namespace

Output unpack(Bytes data) {
  struct Format {
    std::string_view magic;
    Output (*unpack)(Bytes);
  };
  using namespace std::string_view_literals;
  static constexpr std::array kFormats = {
      Format{"\x1f\x8b"sv, unpack_gzip},         Format{"\xfd\x37zXZ\0"sv, unpack_lzma},
      Format{"\x28\xb5\x2f\xfd"sv, unpack_zstd}, Format{"BZh"sv, unpack_bzip2},
      Format{"\x5d\0\0\0"sv, unpack_lzma},       Format{"\x02\x21\x4c\x18"sv, unpack_lz4},
  };
  for (const Format& format : kFormats)
    if (data.size() > format.magic.size() &&
        std::memcmp(data.data(), format.magic.data(), format.magic.size()) == 0)
      return format.unpack(data);
  return fail(ErrorCode::kUnsupported, "a kernel compressed in an unknown way");
}

}  // namespace hadump
