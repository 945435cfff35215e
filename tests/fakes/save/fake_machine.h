// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/save/region_releaser.h"
#include "core/vmcore/source.h"

namespace hadump {

/// A rebooted machine with a waiting dump, small enough to be crashed thousands of times: memory
/// blocks of kBlockFrames, the module's rules for releasing them, and old memory that is gone the
/// moment it is released.
///
/// Its state lives in shared memory, so that it survives a process that is killed: a test forks,
/// lets the child save, kills it at a chosen event, and goes on with what is left.
///
/// Several savers, in threads or processes, and an admin's hand may work on it at once.
class FakeMachine {
 public:
  static constexpr std::uint64_t kBlockFrames = 256;
  static constexpr std::uint64_t kMaxBlocks = 64;
  static constexpr std::uint64_t kMaxFrames = kMaxBlocks * kBlockFrames;
  static constexpr int kKilled = 99;  ///< Exit status of a child that was killed.

  /// @param window_blocks  blocks from address 0 that booting has overwritten; their old content is
  ///                       in the save area, which lies above the RAM.
  FakeMachine(std::uint64_t seed, std::uint64_t window_blocks, std::uint64_t ram_blocks);
  ~FakeMachine();
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;

  /// No memory is behind these frames.
  void make_hole(FrameRange range);
  /// Reading the frame fails.
  void make_unreadable(Gfn gfn);
  /// The next releases of old memory are refused with this code; with kOs, as by Linux, those that
  /// make a block whole. As the module does it, its frames stay asked for, and may be asked for
  /// again.
  void refuse_releases(ErrorCode code, unsigned count = 1);

  /// The process ends, as by SIGKILL, when so many more events have happened. 0: never.
  void kill_after(std::uint64_t events);
  /// Called wherever a crash may come: before and after every step that outlives the process.
  void event();
  std::uint64_t events() const { return shared_->events; }

  /// As by an admin's `echo … > release_region`. False when the module refuses.
  bool release_by_hand(FrameRange range);
  /// As by `echo 1 > release_mem`.
  void release_all_by_hand();
  /// What was released by hand while it was held.
  FrameSet by_hand() const;
  /// Called before and after everything that a saver of this process reads, asks or releases, by
  /// any thread: to make time pass, or something happen. @pre nobody uses the machine yet.
  void on_step(std::function<void()> step) { step_ = std::move(step); }

  /// The machine crashes again: the same dump, without what was given back in whole blocks.
  void reboot();

  /// The old content of a frame; some frames are zero, some do not compress.
  void truth(Gfn gfn, std::span<std::byte> out) const;
  /// Every frame that had memory behind it at the crash.
  FrameSet old_frames() const;
  FrameSet held_frames() const;
  bool all_back() const { return shared_->save_area_released; }
  /// Lines for the host's display, from savers in this process.
  std::uint64_t told_host() const { return told_host_; }
  /// The first rule that a saver broke; empty when none.
  std::string violation() const { return shared_->violation.data(); }

  /// As where each saver has a network namespace of its own: the lock of the release interface
  /// keeps nobody out.
  void give_everybody_a_lock() { one_lock_ = false; }
  /// As where the interface cannot be opened.
  void give_no_lock() { lock_file_ = {}; }

  std::unique_ptr<RegionReleaser> releaser();
  std::unique_ptr<VmcoreSource> vmcore();

 private:
  friend class FakeReleaser;
  friend class FakeVmcore;
  class Lock;
  static constexpr std::uint8_t kHand = 1;  ///< Savers have other numbers.
  enum FrameState : std::uint8_t { kHole, kWindow, kHeld, kAsked, kReleased };

  /// Plain data: it is shared between processes.
  struct Shared {
    std::array<std::uint8_t, kMaxFrames> state;
    std::array<std::uint8_t, kMaxFrames> unreadable;
    std::array<std::uint8_t, kMaxFrames> gone_at_boot;  ///< No PT_LOAD since the last reboot.
    std::array<std::uint8_t, kMaxFrames> released_by;   ///< Who asked first; 0 for nobody.
    pthread_mutex_t mutex;  ///< Protects the arrays, and what follows but for the atomics.
    std::atomic<std::uint64_t> events;
    std::atomic<std::uint64_t> kill_at;
    std::atomic<std::uint8_t> next_releaser;
    std::atomic<std::uint8_t> save_area_released;
    std::uint8_t save_area_released_by;
    unsigned refusals_left;
    ErrorCode refuse_code;
    std::array<char, 256> violation;
  };

  FrameRange save_area() const;
  bool is_readable(Gfn gfn) const;
  void complain(const std::string& text);
  /// Asked for as a whole, and not given.
  bool is_ready_block(std::uint64_t frame) const;
  Result<> release(FrameRange range, std::uint8_t who);
  Result<> release_save_area(std::uint8_t who);
  Result<> check_held(FrameRange range, std::uint8_t who);
  RegionTable table() const;
  Result<UniqueFd> lock() const;
  void step() const {
    if (step_) step_();
  }

  std::uint64_t seed_;
  std::uint64_t frames_;
  Shared* shared_;
  UniqueFd lock_file_;  ///< A child has it, too.
  bool one_lock_ = true;
  std::atomic<std::uint64_t> told_host_ = 0;
  std::function<void()> step_;
};

}  // namespace hadump
