// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hadump {

/// Codecs among which an automatic choice is made (CodecGovernor).
inline constexpr std::size_t kCodecRungs = 4;

/// What some pages took with one codec, and what became of them.
struct CodecCost {
  std::chrono::duration<double> cpu{};
  double bytes = 0;
};

/// A few pages, tried with every codec.
struct CodecSample {
  std::size_t pages = 0;
  std::array<CodecCost, kCodecRungs> by_rung{};
};

/// What one chunk took; measured for an automatic choice only.
struct ChunkCost {
  std::size_t rung = 0;        ///< The codec it was made with.
  std::size_t pages = 0;       ///< That have contents.
  std::size_t compressed = 0;  ///< Of those, the ones that the codec was tried on.
  std::uint64_t bytes = 0;     ///< Of the file that they take.
  std::chrono::duration<double> cpu{};
  std::chrono::duration<double> wall{};
  CodecSample sample;  ///< Mostly empty.
};

}  // namespace hadump
