// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/codec/codec.h"

namespace hadump {

/// Ordinary zlib streams, in less than half of zlib's time (docs/benchmarks.md).
Result<std::unique_ptr<PageCompressor>> open_zlib_compressor(int level);
Result<std::unique_ptr<PageDecompressor>> open_zlib_decompressor();

}  // namespace hadump
