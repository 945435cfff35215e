// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "core/base/error.h"
#include "core/base/units.h"

namespace hadump {

enum class CodecKind : std::uint8_t { kNone, kZlib, kLzo, kSnappy, kZstd, kAuto };

/// A codec and how hard it tries.
struct CodecChoice {
  bool operator==(const CodecChoice&) const = default;

  CodecKind kind = CodecKind::kNone;
  int level =
      0;  ///< zlib 1 to 9; zstd kMinZstdLevel to 19, negative is faster; 0: its default (1).
};
inline constexpr int kMinZstdLevel = -100;

/// "none", "zlib", "lzo", "snappy", "zstd", "auto"; zlib and zstd may be followed by ":LEVEL", as
/// in "zstd:-3". kBadData otherwise.
Result<CodecChoice> parse_codec(std::string_view text);
std::string_view to_string(CodecKind kind);

/// The bit that marks a page of this codec in a kdump-compressed file (diskdump_mod.h); 0 for none.
constexpr std::uint32_t kdump_flag(CodecKind kind) {
  switch (kind) {
    case CodecKind::kZlib:
      return 0x1;
    case CodecKind::kLzo:
      return 0x2;
    case CodecKind::kSnappy:
      return 0x4;
    case CodecKind::kZstd:
      return 0x20;
    case CodecKind::kNone:
    case CodecKind::kAuto:
      break;
  }
  return 0;
}

/// Largest output of any codec for one page; compressors need this much room.
inline constexpr std::size_t kMaxCompressedPage = kFrameSize + kFrameSize / 8 + 256;

/// Compresses single pages. Keeps its context from page to page and allocates nothing per page.
/// Threads: one at a time; each worker has its own. Equal input gives equal output.
class PageCompressor {
 public:
  virtual ~PageCompressor() = default;

  /// @param page  kFrameSize bytes.
  /// @param out   at least kMaxCompressedPage bytes.
  /// @return bytes written to `out`; kFrameSize or more: not worth it, keep the page raw.
  virtual std::size_t compress(std::span<const std::byte> page, std::span<std::byte> out) = 0;
};

/// @pre choice.kind is neither kNone nor kAuto. @return kOs (ENOMEM) or kBadData (level).
Result<std::unique_ptr<PageCompressor>> make_compressor(CodecChoice choice);

}  // namespace hadump
