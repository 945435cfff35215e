// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "hv/domain/guest_memory.h"
#include "tests/fakes/call_hook.h"

namespace hadump {

/// GuestMemory that behaves: frames exist or not, have content, and count against a limit. A
/// mapping is the memory itself, as with Xen: two mappings of a frame see each other's writes.
///
/// Threads: const functions may be called from several threads.
class InMemoryGuest : public GuestMemory {
 public:
  InMemoryGuest()
      : arena_(static_cast<std::byte*>(mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
        exists_(kArenaBytes >> kFrameShift) {
    if (arena_ == MAP_FAILED) std::abort();
    // Fewer page faults, where the kernel can; most of a test's time goes into them.
    static_cast<void>(madvise(arena_, kArenaBytes, MADV_HUGEPAGE));
  }
  explicit InMemoryGuest(std::initializer_list<FrameRange> ram) : InMemoryGuest() {
    for (FrameRange range : ram) add(range);
  }
  InMemoryGuest(const InMemoryGuest&) = delete;
  InMemoryGuest& operator=(const InMemoryGuest&) = delete;
  ~InMemoryGuest() override { static_cast<void>(munmap(arena_, kArenaBytes)); }

  InMemoryGuest& add(FrameRange range) {
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) exists_.at(gfn.value) = true;
    total_ += range.frames();
    return *this;
  }
  InMemoryGuest& fill(Gfn gfn, std::byte value) {
    std::memset(page(gfn), std::to_integer<int>(value), kFrameSize);
    return *this;
  }
  /// A page of the hypervisor's: can be mapped, but is no guest memory.
  InMemoryGuest& make_special(Gfn gfn) {
    special_.insert(gfn.value);
    return *this;
  }
  InMemoryGuest& make_broken(Gfn gfn) {
    exists_.at(gfn.value) = false;
    --total_;
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
  /// The hook of a const function may be called from several threads, one after the other.
  InMemoryGuest& on_call(CallHook hook) {
    hook_ = std::move(hook);
    return *this;
  }
  /// Mappings that somebody still has.
  int mappings() const { return mappings_; }
  /// How often other memory was put behind a frame.
  unsigned moved(Gfn gfn) const {
    const auto found = moved_.find(gfn.value);
    return found == moved_.end() ? 0 : found->second;
  }
  bool exists(Gfn gfn) const { return exists_.at(gfn.value); }
  std::vector<std::byte> content(Gfn gfn) const { return {page(gfn), page(gfn) + kFrameSize}; }
  /// For whoever writes to it without a mapping: the guest itself.
  std::span<std::byte> raw(FrameRange range) { return {page(range.begin), range.bytes()}; }
  std::uint64_t limit_kib() const { return limit_kib_; }
  /// Can be read, but not mapped for writing.
  InMemoryGuest& make_unwritable(Gfn gfn) {
    unwritable_.insert(gfn.value);
    return *this;
  }
  /// How many frames have left the domain with anything but zeros in them.
  std::uint64_t leaked_frames() const { return leaked_; }
  /// How often populate() and set_limit_kib() have changed something.
  int changes() const { return changes_; }
  /// How many frames kinds() has told of.
  std::uint64_t frames_looked_at() const { return looked_at_; }

  Result<FrameMapping> map(FrameRange range, Access access) const override {
    if (auto failed = failure("map"); !failed) return fail(std::move(failed));
    std::vector<bool> present(range.frames());
    for (std::size_t i = 0; i < present.size(); ++i) {
      const std::uint64_t gfn = range.begin.value + i;
      present[i] = exists_.at(gfn) && (access == Access::kRead || !unwritable_.contains(gfn));
    }
    ++mappings_;
    return FrameMapping(range.begin, {page(range.begin), range.bytes()}, std::move(present),
                        [this, range](std::span<std::byte>) { let_go(range); });
  }
  Result<std::vector<FrameKind>> kinds(FrameRange range) const override {
    if (auto failed = failure("kinds"); !failed) return fail(std::move(failed));
    looked_at_ += range.frames();
    std::vector<FrameKind> kinds;
    for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
      if (broken_.contains(gfn.value))
        kinds.push_back(FrameKind::kBroken);
      else if (exists_.at(gfn.value) && !special_.contains(gfn.value))
        kinds.push_back(FrameKind::kRam);
      else
        kinds.push_back(FrameKind::kAbsent);
    }
    return kinds;
  }
  Result<std::uint64_t> total_frames() const override { return total_ - special_.size(); }
  Result<> set_limit_kib(std::uint64_t kib) override {
    if (auto failed = failure("set_limit"); !failed) return failed;
    limit_kib_ = kib;
    ++changes_;
    return {};
  }

 private:
  Result<std::uint64_t> host_free_bytes() const override { return free_frames_ << kFrameShift; }
  Result<> add_frames(const FrameSet& frames) override {
    if (auto failed = failure("populate"); !failed) return failed;
    if (((total_ - special_.size() + frames.frames()) << 2) > limit_kib_)
      return fail_os(ENOMEM, "beyond the limit");
    free_frames_ -= frames.frames();
    ++changes_;
    for (FrameRange range : frames.ranges()) {
      add(range);
      for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value)  // undefined content
        if (!used_before_.contains(gfn)) fill(gfn, std::byte{0x5a});
    }
    return {};
  }
  // The host has what was in them, and gives it to whoever asks next.
  Result<> take_away(const FrameSet& frames) override {
    if (auto failed = failure("remove"); !failed) return failed;
    for (FrameRange range : frames.ranges())
      for (Gfn gfn = range.begin; gfn < range.end; ++gfn.value) {
        broken_.erase(gfn.value);
        if (!exists_.at(gfn.value)) continue;  // broken: not counted
        exists_.at(gfn.value) = false;
        --total_;
        ++free_frames_;
        if (!is_clear(gfn)) ++leaked_;
      }
    used_before_.insert(frames);
    return {};
  }

  // A mapping is the arena itself, so the new memory of a frame waits aside until whoever has
  // mapped the old one lets go of it.
  Result<> move_frame(Gfn from, Gfn to) override {
    if (auto failed = failure("move"); !failed) return failed;
    const std::lock_guard lock(mutex_);
    if (!is_clear(to)) ++leaked_;  // the host gets it when nobody has it mapped any more
    aside_[to.value] = content(from);
    exists_.at(from.value) = false;
    --total_;
    ++moved_[to.value];
    return {};
  }
  void let_go(FrameRange range) const {
    --mappings_;
    const std::lock_guard lock(mutex_);
    for (auto it = aside_.lower_bound(range.begin.value);
         it != aside_.end() && it->first < range.end.value; it = aside_.erase(it))
      std::memcpy(page(Gfn{it->first}), it->second.data(), kFrameSize);
  }

  bool is_clear(Gfn gfn) const {
    static constexpr std::array<std::byte, kFrameSize> kZeros{};
    return std::memcmp(page(gfn), kZeros.data(), kFrameSize) == 0;
  }
  static constexpr std::uint64_t kArenaBytes = 32_GiB;  // of address space; untouched costs nothing
  std::byte* page(Gfn gfn) const { return arena_ + (gfn.value << kFrameShift); }
  Result<> failure(const std::string& what) const {
    const std::lock_guard lock(mutex_);
    if (failing_.erase(what) == 0) return hook_(what);
    return fail_os(EIO, what);
  }
  CallHook hook_ = no_hook();
  mutable std::atomic<int> mappings_ = 0;
  std::byte* arena_;
  std::vector<bool> exists_;
  std::uint64_t total_ = 0;
  std::set<std::uint64_t> special_;
  std::set<std::uint64_t> broken_;
  std::set<std::uint64_t> unwritable_;
  FrameSet used_before_;
  std::map<std::uint64_t, unsigned> moved_;
  std::uint64_t leaked_ = 0;
  mutable std::mutex mutex_;  ///< guards failing_ and aside_
  mutable std::map<std::uint64_t, std::vector<std::byte>> aside_;
  mutable std::set<std::string> failing_;
  std::uint64_t free_frames_ = 1ULL << 40;
  std::uint64_t limit_kib_ = UINT64_MAX;
  int changes_ = 0;
  mutable std::atomic<std::uint64_t> looked_at_ = 0;
};

}  // namespace hadump
