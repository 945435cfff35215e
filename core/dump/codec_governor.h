// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/codec/codec.h"

namespace hadump {

/// Chooses the codec for an automatic choice: the strongest with which the target device stays
/// busy. While writing takes most of the time, there are CPU seconds to spend on smaller pages;
/// while writing waits for workers, a faster codec brings more.
///
/// Threads: go_on() and wrote() from the writing thread, choice() from any.
class CodecGovernor {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// From the fastest to the strongest.
  static const std::vector<CodecChoice>& ladder();
  /// Of all that are on it.
  static std::uint32_t flags();

  /// What passed since the last chunk (a checkpoint, pages released) says nothing about either.
  void go_on(Time now) { last_ = now; }

  /// One chunk was handed to the sink, in [begin, end).
  void wrote(Time begin, Time end) {
    writing_ += end - begin;
    all_ += end - std::exchange(last_, end);
    if (++chunks_ < kChunksPerDecision) return;
    const double busy =
        all_.count() > 0 ? static_cast<double>(writing_.count()) / static_cast<double>(all_.count())
                         : 0;
    const std::size_t step = step_.load(std::memory_order_relaxed);
    if (busy > kBusy && step + 1 < ladder().size())
      step_.store(step + 1, std::memory_order_relaxed);
    if (busy < kIdle && step > 0) step_.store(step - 1, std::memory_order_relaxed);
    writing_ = all_ = {};
    chunks_ = 0;
  }

  CodecChoice choice() const { return ladder()[step_.load(std::memory_order_relaxed)]; }

 private:
  static constexpr unsigned kChunksPerDecision = 128;  ///< 64 MiB of memory
  static constexpr double kBusy = 0.6;
  static constexpr double kIdle = 0.3;

  std::atomic<std::size_t> step_{2};
  Time last_{};  ///< When there began to be a next chunk to wait for.
  std::chrono::nanoseconds writing_{};
  std::chrono::nanoseconds all_{};
  unsigned chunks_ = 0;
};

}  // namespace hadump
