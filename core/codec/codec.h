// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/base/units.h"

namespace hadump {

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

/// Decompresses single pages. Threads: one at a time.
class PageDecompressor {
 public:
  virtual ~PageDecompressor() = default;

  /// @param page  kFrameSize bytes; undefined on failure.
  /// @return false when `data`, whatever it is, is not exactly one page in this codec.
  virtual bool expand(std::span<const std::byte> data, std::span<std::byte> page) = 0;
};

/// One row of the table of codecs (codec_table.cc): all that the rest of the tree knows of a codec.
struct Codec {
  std::string_view name;
  int min_level;  ///< Both levels are 0 when the codec has none.
  int max_level;
  std::uint32_t flag;  ///< The bit that marks it in a kdump-compressed file (diskdump_mod.h).
  /// @param level  one of the range; 1 when the user gave none. @return kOs (ENOMEM).
  Result<std::unique_ptr<PageCompressor>> (*open_compressor)(int level);
  Result<std::unique_ptr<PageDecompressor>> (*open_decompressor)();

  bool has_levels() const { return min_level != max_level; }
};

std::span<const Codec> codecs();
/// Null when there is none of that name.
const Codec* find_codec(std::string_view name);

/// A codec and how hard it tries.
struct CodecChoice {
  bool operator==(const CodecChoice&) const = default;

  const Codec* codec = nullptr;  ///< Null: pages are stored as they are.
  int level = 0;                 ///< 0: the codec's default.
  bool is_automatic = false;     ///< The writer chooses, by what the target takes; codec is null.
};

/// "none", a codec's name, or "auto"; a codec that has levels may be followed by ":LEVEL", as in
/// "zstd:-3". kBadData otherwise.
Result<CodecChoice> parse_codec(std::string_view text);
/// The word that parse_codec() takes, without the level.
std::string_view name_of(CodecChoice choice);
/// What parse_codec() takes, for help texts and messages.
/// @param with_auto  false for a caller that refuses "auto".
std::string codec_help(bool with_auto = true);

/// @pre choice.codec is not null. @return kOs (ENOMEM) or kBadData (level).
Result<std::unique_ptr<PageCompressor>> make_compressor(CodecChoice choice);

}  // namespace hadump
