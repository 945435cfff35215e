// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/block_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>
#include <utility>

namespace hadump {
namespace {

PageClass class_of(std::uint64_t block) {
  return block % 2 == 0 ? PageClass::kUser : PageClass::kFree;
}

/// Counts how often each block is classified.
class CountingCache {
 public:
  explicit CountingCache(std::uint64_t end)
      : cache(end, [this](std::uint64_t block, BlockCache::Classes& classes) {
          classes.fill(class_of(block));
          const std::lock_guard lock(mutex);
          ++times[block];
        }) {}

  std::mutex mutex;
  std::map<std::uint64_t, unsigned> times;
  BlockCache cache;
};

TEST(BlockCache, ClassifiesABlockOnceForAllThreads) {
  constexpr std::uint64_t kBlocks = 40;
  CountingCache counted(kBlocks);
  std::atomic<unsigned> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (std::uint64_t block = 0; block < kBlocks; ++block)
        for (unsigned part = 0; part < 4; ++part) {
          const auto classes = counted.cache.get(block);
          if (classes->front() != class_of(block) || classes->back() != class_of(block)) ++wrong;
        }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  ASSERT_EQ(counted.times.size(), kBlocks);
  for (const auto& [block, times] : counted.times) EXPECT_EQ(times, 1u) << block;
}

TEST(BlockCache, ForgetsWhatWasNotUsedForLongest) {
  CountingCache counted(1000);
  for (std::uint64_t block = 0; block < BlockCache::kCachedBlocks; ++block) {
    const auto used = counted.cache.get(block);
  }
  const auto held = counted.cache.get(0);
  static_cast<void>(counted.cache.get(500));  // takes the place of block 1
  static_cast<void>(counted.cache.get(0));
  EXPECT_EQ(counted.times[0], 1u);
  static_cast<void>(counted.cache.get(1));
  EXPECT_EQ(counted.times[1], 2u);
  for (std::uint64_t block = 600; block < 700; ++block) static_cast<void>(counted.cache.get(block));
  EXPECT_EQ(held->front(), class_of(0)) << "what is in use stays";
}

// Block 0 is not done before 1 and 2 are: only who waits for block 0 can do those.
TEST(BlockCache, WhoWaitsClassifiesTheNextBlocks) {
  std::mutex mutex;
  std::condition_variable changed;
  unsigned done = 0;
  BlockCache cache(3, [&](std::uint64_t block, BlockCache::Classes& classes) {
    classes.fill(class_of(block));
    std::unique_lock lock(mutex);
    if (block == 0) {
      changed.wait(lock, [&] { return done == 2; });
    } else {
      ++done;
      changed.notify_all();
    }
  });
  std::thread one([&] { static_cast<void>(cache.get(0)); });
  std::thread two([&] { static_cast<void>(cache.get(0)); });
  one.join();
  two.join();
  EXPECT_EQ(done, 2u);
}

TEST(BlockCache, AThreadWithoutMemoryDoesNotKeepTheOthersWaiting) {
  bool fails = true;
  BlockCache cache(1, [&](std::uint64_t, BlockCache::Classes& classes) {
    if (std::exchange(fails, false)) throw std::bad_alloc();
    classes.fill(PageClass::kFree);
  });
  EXPECT_THROW(cache.get(0), std::bad_alloc);
  EXPECT_EQ((*cache.get(0))[7], PageClass::kFree);
}

}  // namespace
}  // namespace hadump
