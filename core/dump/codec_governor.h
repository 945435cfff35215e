// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "core/codec/codec.h"
#include "core/dump/chunk_cost.h"

namespace hadump {

/// Chooses the codec for an automatic choice: the one with which most memory per second gets
/// through, as far as can be told. A codec's rate is what the workers reach with it or what the
/// target takes of its output, whichever is less. All of that is measured while the dump is
/// written: what pages cost with the codec in use, what a few of them would cost with the others
/// (CodecProbe), and how fast the target takes bytes.
///
/// Threads: took() from the writing thread, rung() from any.
class CodecGovernor {
 public:
  using Seconds = std::chrono::duration<double>;

  /// From the fastest to the strongest.
  static const std::array<CodecChoice, kCodecRungs>& ladder();
  /// Of all that are on it.
  static std::uint32_t flags();

  /// @param workers  threads that compress.
  /// @param cpus     that they can run on.
  CodecGovernor(unsigned workers, unsigned cpus) : workers_(workers), cpus_(cpus) {}

  /// A worker has made a chunk, perhaps with a codec that was chosen before.
  /// @param writing  how long the writing thread then spent on handing it to the target, without
  ///                 what it waited for a CPU: the workers have those.
  void took(const ChunkCost& chunk, Seconds writing);

  /// The codec to make the next chunk with: its place on the ladder.
  std::size_t rung() const { return rung_.load(std::memory_order_relaxed); }

 private:
  /// Sums over chunks of one codec.
  struct Window {
    double pages = 0;
    double compressed = 0;
    double bytes = 0;
    Seconds cpu{};
    Seconds wall{};
    Seconds writing{};
  };

  void learn(const CodecSample& sample);
  void decide();
  double target_rate(const Window& window);
  double rate_of(std::size_t rung, double target) const;

  const unsigned workers_;
  const unsigned cpus_;
  std::atomic<std::size_t> rung_{0};
  Window window_;
  double next_decision_ = 1024;  ///< Pages; grows to kPagesPerDecision.
  /// Of the pages that were tried with every codec, older ones counting less.
  double sampled_pages_ = 0;
  std::array<CodecCost, kCodecRungs> sampled_{};
  /// Bytes per second in the last windows. Each is more than the target takes for long, but for a
  /// few in which it or this machine had something else to do.
  std::deque<double> target_rates_;
};

}  // namespace hadump
