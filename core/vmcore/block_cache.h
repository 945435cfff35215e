// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/vmcore/page_filter.h"

namespace hadump {

/// Frames that are classified at once: 32 MiB, aligned. Many times the largest free block that a
/// usual kernel has, so that little is looked at twice; and so little work (a few tenths of a
/// millisecond) that workers who wait for each other hardly notice.
inline constexpr std::uint64_t kBlockFrames = 8192;

/// The classes of the blocks that were asked for last. However many threads ask for parts of a
/// block, it is classified once, and those who come meanwhile classify the next blocks or sleep.
///
/// Memory: 8 KiB for each of kCachedBlocks blocks, and for each thread that still uses one which
/// was replaced.
/// Threads: get() may be called from several at once.
class BlockCache {
 public:
  /// 16 files grow at once, and what is in work for each is in two or three blocks.
  static constexpr std::size_t kCachedBlocks = 64;
  /// Who would have to wait classifies one of the next blocks instead, up to so many ahead: the
  /// workers will ask for it soon, and at the border of a block not all of them stand still.
  static constexpr std::uint64_t kAhead = 2;
  using Classes = std::array<PageClass, kBlockFrames>;
  /// Writes the classes of frame block * kBlockFrames and those after it. Runs on the thread that
  /// asks, several blocks at the same time.
  using Classify = std::function<void(std::uint64_t block, Classes& classes)>;

  /// @param end  blocks from here on are not classified ahead.
  BlockCache(std::uint64_t end, Classify classify);

  std::shared_ptr<const Classes> get(std::uint64_t block);

 private:
  struct Slot {
    std::uint64_t block = kNone;
    std::uint64_t last_used = 0;
    std::shared_ptr<const Classes> classes;  ///< Null while some thread works on it.
  };
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  Slot* find(std::uint64_t block);
  Slot* replaceable();
  Slot* claim_ahead(std::uint64_t block);
  void make(Slot& slot, std::uint64_t block, std::unique_lock<std::mutex>& lock);

  std::uint64_t end_;
  Classify classify_;
  std::mutex mutex_;  // protects everything below
  std::condition_variable made_;
  std::vector<Slot> slots_;
  std::uint64_t clock_ = 0;
};

}  // namespace hadump
