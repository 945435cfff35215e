// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/codec/codec.h"
#include "core/dump/chunk_cost.h"

namespace hadump {

/// CPU time of the calling thread.
std::chrono::duration<double> thread_cpu_time();

/// Tries a few pages of some chunks with every codec of CodecGovernor's ladder: the same pages, so
/// that the results can be compared. One worker has one. Takes about a hundredth of that worker's
/// time. Threads: one at a time.
class CodecProbe {
 public:
  static Result<std::unique_ptr<CodecProbe>> create();

  /// Asked before each page that is going to be compressed.
  bool wants(std::size_t index) const {
    return is_due_ && index % kPageStep == 0 && kept_ < kPages;
  }
  /// @param page  copied.
  void keep(std::span<const std::byte> page);

  /// The chunk, which took the worker `cpu`, is done: tries what was kept. Mostly there is nothing.
  CodecSample end_chunk(std::chrono::duration<double> cpu);

 private:
  static constexpr std::size_t kPages = 8;
  static constexpr std::size_t kPageStep = 8;
  static constexpr unsigned kFreeSamples = 4;  ///< The first ones are needed at once.
  static constexpr double kShare = 1.0 / 80;

  std::array<std::unique_ptr<PageCompressor>, kCodecRungs> compressors_;
  std::vector<std::byte> pages_;
  std::vector<std::byte> out_;
  std::size_t kept_ = 0;
  bool is_due_ = true;
  unsigned samples_ = 0;
  std::chrono::duration<double> worked_{};
  std::chrono::duration<double> spent_{};
};

}  // namespace hadump
