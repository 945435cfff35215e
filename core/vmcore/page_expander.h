// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/codec/codec.h"

namespace hadump {

/// Decompresses single pages of whatever codec their descriptors name. Threads: one at a time.
class PageExpander {
 public:
  /// @param flags  of the page's descriptor: one codec, or none for bytes as they are.
  /// @param page   [kFrameSize]; undefined on failure.
  /// @return kBadData when the data is not exactly one page in that codec.
  Result<> expand(std::uint32_t flags, std::span<const std::byte> data, std::span<std::byte> page);

 private:
  /// By row of the table of codecs; made when first needed.
  std::vector<std::unique_ptr<PageDecompressor>> decompressors_;
};

}  // namespace hadump
