// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "core/stream/channel.h"

namespace hadump {

/// A ByteChannel in memory: two bounded rings, as two threads see them.
class MemoryChannel : public ByteChannel {
 public:
  struct Size {
    std::size_t ring_bytes = 4096;  ///< In each direction.
    std::size_t most_at_once = 0;   ///< Of one read() or write(); 0: no limit.
  };

  static std::pair<std::unique_ptr<MemoryChannel>, std::unique_ptr<MemoryChannel>> make_pair(
      Size size) {
    auto shared = std::make_shared<Shared>();
    return {std::unique_ptr<MemoryChannel>(new MemoryChannel(shared, 0, size)),
            std::unique_ptr<MemoryChannel>(new MemoryChannel(shared, 1, size))};
  }

  ~MemoryChannel() override {
    const std::lock_guard lock(shared_->mutex);
    shared_->closed[side_] = true;
    shared_->changed.notify_all();
  }

  Result<std::size_t> read(std::span<std::byte> out) override {
    const std::lock_guard lock(shared_->mutex);
    auto& ring = shared_->rings[1 - side_];
    const std::size_t count = std::min({out.size(), ring.size(), step()});
    if (count == 0 && !out.empty() && shared_->closed[1 - side_])
      return fail_os(EPIPE, "reading the channel");
    std::copy_n(ring.begin(), count, out.begin());
    ring.erase(ring.begin(), ring.begin() + static_cast<std::ptrdiff_t>(count));
    if (count != 0) changed();
    return count;
  }

  Result<std::size_t> write(std::span<const std::byte> bytes) override {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->closed[1 - side_]) return fail_os(EPIPE, "writing to the channel");
    auto& ring = shared_->rings[side_];
    const std::size_t count = std::min({bytes.size(), size_.ring_bytes - ring.size(), step()});
    ring.insert(ring.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    if (count != 0) changed();
    return count;
  }

  Result<> wait(std::chrono::milliseconds patience) override {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait_for(
        lock, patience, [this] { return shared_->changes != seen_ || shared_->closed[1 - side_]; });
    seen_ = shared_->changes;
    return {};
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::byte> rings[2];  ///< By who writes.
    bool closed[2] = {};
    std::uint64_t changes = 0;
  };

  MemoryChannel(std::shared_ptr<Shared> shared, std::size_t side, Size size)
      : shared_(std::move(shared)), side_(side), size_(size) {}
  std::size_t step() const {
    return size_.most_at_once == 0 ? size_.ring_bytes : size_.most_at_once;
  }
  void changed() {
    ++shared_->changes;
    shared_->changed.notify_all();
  }

  std::shared_ptr<Shared> shared_;
  std::size_t side_;
  Size size_;
  std::uint64_t seen_ = 0;
};

}  // namespace hadump
