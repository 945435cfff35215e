// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/codec/codec.h"

namespace hadump {

/// One zstd frame for each page.
Result<std::unique_ptr<PageCompressor>> open_zstd_compressor(int level);
Result<std::unique_ptr<PageDecompressor>> open_zstd_decompressor();

}  // namespace hadump
