// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/base/error.h"

struct ZSTD_DCtx_s;

namespace hadump {

// How a page of a kdump-compressed file is stored (makedumpfile's diskdump_mod.h).
inline constexpr std::uint32_t kKdumpZlib = 0x1;
inline constexpr std::uint32_t kKdumpLzo = 0x2;
inline constexpr std::uint32_t kKdumpSnappy = 0x4;
inline constexpr std::uint32_t kKdumpExcludedVmemmap = 0x10;
inline constexpr std::uint32_t kKdumpZstd = 0x20;

/// Decompresses single pages. Threads: one at a time.
class PageExpander {
 public:
  PageExpander();
  ~PageExpander();
  PageExpander(const PageExpander&) = delete;
  PageExpander& operator=(const PageExpander&) = delete;

  /// @param flags  of the page's descriptor: one codec, or none for bytes as they are.
  /// @param page   [kFrameSize]; undefined on failure.
  /// @return kBadData when the data is not exactly one page in that codec.
  Result<> expand(std::uint32_t flags, std::span<const std::byte> data, std::span<std::byte> page);

 private:
  Result<> expand_zstd(std::span<const std::byte> data, std::span<std::byte> page);

  struct FreeContext {
    void operator()(ZSTD_DCtx_s* context) const noexcept;
  };
  std::unique_ptr<ZSTD_DCtx_s, FreeContext> zstd_;  // made when first needed
};

}  // namespace hadump
