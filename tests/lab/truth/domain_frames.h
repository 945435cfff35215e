// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

extern "C" {
#include <xenforeignmemory.h>
}

namespace hadump::lab {

inline constexpr std::size_t kBatch = 1024;  // One call for each frame would take minutes.
// Where a PVH guest's RAM may be: libxl leaves the rest below 4 GiB to devices.
inline constexpr std::uint64_t kLowEnd = 0xfc000;
inline constexpr std::uint64_t kHighStart = 0x100000;
inline constexpr std::uint64_t kFramesPerMib = 256;

struct CloseForeign {
  void operator()(xenforeignmemory_handle* handle) const { xenforeignmemory_close(handle); }
};
using Foreign = std::unique_ptr<xenforeignmemory_handle, CloseForeign>;

/// Calls `scan(first, count)` for all frames of a guest of that size, a batch at a time.
template <typename Scan>
void for_each_batch(std::uint64_t memory_mib, Scan scan) {
  const std::uint64_t frames = memory_mib * kFramesPerMib;
  const std::uint64_t low = std::min(frames, kLowEnd);
  const auto range = [&scan](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t at = begin; at < end; at += kBatch)
      scan(at, static_cast<std::size_t>(std::min<std::uint64_t>(kBatch, end - at)));
  };
  range(0, low);
  range(kHighStart, kHighStart + (frames - low));
}

}  // namespace hadump::lab
