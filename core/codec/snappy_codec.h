// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/codec/codec.h"

namespace hadump {

/// Snappy's raw format.
Result<std::unique_ptr<PageCompressor>> open_snappy_compressor(int level);
Result<std::unique_ptr<PageDecompressor>> open_snappy_decompressor();

}  // namespace hadump
