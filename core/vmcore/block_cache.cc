// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/block_cache.h"

#include <utility>

namespace hadump {

BlockCache::BlockCache(std::uint64_t end, Classify classify)
    : end_(end), classify_(std::move(classify)), slots_(kCachedBlocks) {}

std::shared_ptr<const BlockCache::Classes> BlockCache::get(std::uint64_t block) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (Slot* slot = find(block); slot != nullptr && slot->classes) {
      slot->last_used = ++clock_;
      return slot->classes;
    } else if (slot == nullptr) {
      if ((slot = replaceable()) != nullptr) {
        make(*slot, block, lock);
        continue;
      }
    } else if (Slot* next = claim_ahead(block)) {
      make(*next, next->block, lock);
      continue;
    }
    made_.wait(lock);
  }
}

BlockCache::Slot* BlockCache::find(std::uint64_t block) {
  for (Slot& slot : slots_)
    if (slot.block == block) return &slot;
  return nullptr;
}

/// The slot that was not used for longest; null when all are being worked on.
BlockCache::Slot* BlockCache::replaceable() {
  Slot* oldest = nullptr;
  for (Slot& slot : slots_)
    if ((slot.block == kNone || slot.classes) &&
        (oldest == nullptr || slot.last_used < oldest->last_used))
      oldest = &slot;
  return oldest;
}

BlockCache::Slot* BlockCache::claim_ahead(std::uint64_t block) {
  for (std::uint64_t next = block + 1; next <= block + kAhead && next < end_; ++next) {
    if (find(next) != nullptr) continue;
    Slot* slot = replaceable();
    if (slot != nullptr) slot->block = next;
    return slot;
  }
  return nullptr;
}

void BlockCache::make(Slot& slot, std::uint64_t block, std::unique_lock<std::mutex>& lock) {
  slot.block = block;
  slot.classes.reset();
  lock.unlock();
  std::shared_ptr<Classes> classes;
  try {
    classes = std::make_shared<Classes>();
    classify_(block, *classes);
  } catch (...) {  // No memory. Others wait for this block, and one of them tries again.
    lock.lock();
    slot.block = kNone;
    made_.notify_all();
    throw;
  }
  lock.lock();
  slot.classes = std::move(classes);
  slot.last_used = ++clock_;
  made_.notify_all();
}

}  // namespace hadump
