// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>

#include "core/codec/codec.h"
#include "core/codec/lzo_codec.h"
#include "core/codec/snappy_codec.h"
#include "core/codec/zlib_codec.h"
#include "core/codec/zstd_codec.h"

namespace hadump {
namespace {

constexpr std::array<Codec, 4> kCodecs{{
    {"zlib", 1, 9, 0x1, open_zlib_compressor, open_zlib_decompressor},
    {"lzo", 0, 0, 0x2, open_lzo_compressor, open_lzo_decompressor},
    {"snappy", 0, 0, 0x4, open_snappy_compressor, open_snappy_decompressor},
    {"zstd", -100, 19, 0x20, open_zstd_compressor, open_zstd_decompressor},
}};

}  // namespace

std::span<const Codec> codecs() {
  return kCodecs;
}

}  // namespace hadump
