#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "hv/agent/guest_memory.h"

namespace hadump {

/// GuestMemory that behaves: frames exist or not, have content, and count against a limit. A
/// mapping is a copy that is written back when it goes away, so two mappings of the same frame do
/// not see each other's writes in between; nothing in the agent maps a frame twice for writing.
///
/// Threads: const functions may be called from several threads.
class InMemoryGuest : public GuestMemory {
 public:
  InMemoryGuest() = default;
  explicit InMemoryGuest(std::initializer_list<FrameRange> ram) {
    for (FrameRange range : ram) add(range);
  }
  InMemoryGuest(const InMemoryGuest&) = delete;
  InMemoryGuest& operator=(const InMemoryGuest&) = delete;

  InMemoryGuest& add(FrameRange range) {
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) frames_[gfn.value];
    return *this;
  }
  InMemoryGuest& fill(Gfn gfn, std::byte value) {
    page(gfn).assign(kFrameSize, value);
    return *this;
  }
  /// A page of the hypervisor's: can be mapped, but is no guest memory.
  InMemoryGuest& make_special(Gfn gfn) {
    page(gfn);
    special_.insert(gfn.value);
    return *this;
  }
  InMemoryGuest& make_broken(Gfn gfn) {
    frames_.erase(gfn.value);
    broken_.insert(gfn.value);
    return *this;
  }
  /// Host memory that is left for populate().
  InMemoryGuest& set_free_frames(std::uint64_t frames) {
    free_frames_ = frames;
    return *this;
  }
  /// The next call whose name is `what` fails once.
  InMemoryGuest& fail_next(const std::string& what) {
    failing_.insert(what);
    return *this;
  }
  bool exists(Gfn gfn) const { return frames_.contains(gfn.value); }
  std::vector<std::byte> content(Gfn gfn) const {
    const auto found = frames_.find(gfn.value);
    if (found == frames_.end()) return {};
    return found->second.empty() ? std::vector<std::byte>(kFrameSize) : found->second;
  }
  std::uint64_t limit_kib() const { return limit_kib_; }

  Result<FrameMapping> map(FrameRange range, Access access) const override {
    if (auto failed = failure("map"); !failed) return fail(std::move(failed));
    auto buffer = std::make_shared<std::vector<std::byte>>(range.bytes());
    std::vector<bool> present(range.frames());
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < present.size(); ++i) {
      const auto found = frames_.find(range.begin.value + i);
      present[i] = found != frames_.end();
      if (present[i] && !found->second.empty())
        std::memcpy(buffer->data() + i * kFrameSize, found->second.data(), kFrameSize);
    }
    const std::span<std::byte> bytes(*buffer);
    return FrameMapping(range.begin, bytes, present, [=, this](std::span<std::byte>) {
      if (access == Access::kReadWrite) write_back(range, *buffer, present);
    });
  }
  Result<std::vector<FrameKind>> kinds(FrameRange range) const override {
    if (auto failed = failure("kinds"); !failed) return fail(std::move(failed));
    std::vector<FrameKind> kinds;
    const std::lock_guard lock(mutex_);
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
      if (broken_.contains(gfn.value)) kinds.push_back(FrameKind::kBroken);
      else if (frames_.contains(gfn.value) && !special_.contains(gfn.value))
        kinds.push_back(FrameKind::kRam);
      else kinds.push_back(FrameKind::kAbsent);
    }
    return kinds;
  }
  Result<std::uint64_t> total_frames() const override { return frames_.size() - special_.size(); }
  Result<> populate(FrameRange range) override {
    if (auto failed = failure("populate"); !failed) return failed;
    if (range.frames() > free_frames_) return fail(ErrorCode::kNoSpace, "no free memory");
    if (((frames_.size() + range.frames()) << 2) > limit_kib_)
      return fail_os(ENOMEM, "beyond the limit");
    free_frames_ -= range.frames();
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value)
      frames_[gfn.value].assign(kFrameSize, std::byte{0x5a});  // undefined content
    return {};
  }
  Result<> remove(FrameRange range) override {
    if (auto failed = failure("remove"); !failed) return failed;
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value)
      free_frames_ += frames_.erase(gfn.value);
    return {};
  }
  Result<> set_limit_kib(std::uint64_t kib) override {
    limit_kib_ = kib;
    return {};
  }

 private:
  std::vector<std::byte>& page(Gfn gfn) { return frames_[gfn.value]; }
  Result<> failure(const std::string& what) const {
    const std::lock_guard lock(mutex_);
    if (failing_.erase(what) == 0) return {};
    return fail_os(EIO, what);
  }
  void write_back(FrameRange range, const std::vector<std::byte>& bytes,
                  const std::vector<bool>& present) const {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < present.size(); ++i) {
      const auto found = frames_.find(range.begin.value + i);
      if (!present[i] || found == frames_.end()) continue;
      const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(i * kFrameSize);
      const auto end = begin + static_cast<std::ptrdiff_t>(kFrameSize);
      const bool zero = *begin == std::byte{0} && std::equal(begin + 1, end, begin);
      if (zero) found->second = {};
      else found->second.assign(begin, end);
    }
  }

  mutable std::mutex mutex_;  ///< guards all below in const functions
  /// By number; an empty page is one of zeros, so that large guests are cheap.
  mutable std::unordered_map<std::uint64_t, std::vector<std::byte>> frames_;
  std::set<std::uint64_t> special_;
  std::set<std::uint64_t> broken_;
  mutable std::set<std::string> failing_;
  std::uint64_t free_frames_ = 1ULL << 40;
  std::uint64_t limit_kib_ = UINT64_MAX;
};

}  // namespace hadump
