// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/codec/codec.h"

namespace hadump {

/// LZO1X, by an encoder of our own (lzo_encoder.h).
Result<std::unique_ptr<PageCompressor>> open_lzo_compressor(int level);
Result<std::unique_ptr<PageDecompressor>> open_lzo_decompressor();

}  // namespace hadump
