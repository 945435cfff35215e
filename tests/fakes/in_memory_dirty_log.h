// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "hv/domain/dirty_log.h"
#include "tests/fakes/call_hook.h"
#include "tests/fakes/in_memory_guest.h"

namespace hadump {

/// DirtyLog that behaves: sees what the guest writes while it is on, and nothing that a backend
/// writes through a grant.
class InMemoryDirtyLog : public DirtyLog {
 public:
  InMemoryDirtyLog(std::vector<std::string>& history, InMemoryGuest& memory)
      : history_(history), memory_(memory) {}

  /// A vCPU writes a number into a frame. @param offset  in bytes.
  void guest_writes(Gfn gfn, std::size_t offset, std::uint64_t value) {
    put(gfn, offset, value);
    if (is_on_) dirty_.insert({gfn, Gfn{gfn.value + 1}});
  }
  /// The same, by another domain or by Xen.
  void backend_writes(Gfn gfn, std::size_t offset, std::uint64_t value) { put(gfn, offset, value); }
  /// The guest lets a backend write to a frame.
  void grant(Gfn gfn) { granted_.insert({gfn, Gfn{gfn.value + 1}}); }
  /// For a test of what happens without: nobody is told of grants.
  void hide_grants() { hides_grants_ = true; }
  /// It belongs to a migration, say.
  void set_in_use() { in_use_ = true; }
  void on_call(CallHook hook) { hook_ = std::move(hook); }
  bool is_on() const { return is_on_; }

  Result<> start(Gfn end, std::uint64_t) override {
    if (auto failed = hook_("start_log"); !failed) return failed;
    if (is_on_ || in_use_) return fail(ErrorCode::kBusy, "its writes are being logged already");
    is_on_ = true;
    end_ = end;
    dirty_ = {};
    history_.push_back("start_log");
    return {};
  }
  Result<FrameSet> take(bool) override {
    if (auto failed = hook_("take_log"); !failed) return fail(std::move(failed));
    if (!is_on_) return fail(ErrorCode::kOs, "no log");
    return std::exchange(dirty_, {}).intersection(FrameRange{Gfn{0}, end_});
  }
  Result<FrameSet> unlogged() override {
    if (auto failed = hook_("unlogged"); !failed) return fail(std::move(failed));
    return hides_grants_ ? FrameSet() : granted_;
  }
  Result<> stop() override {
    if (auto failed = hook_("stop_log"); !failed) return failed;
    if (is_on_) history_.push_back("stop_log");
    is_on_ = false;
    return {};
  }

 private:
  void put(Gfn gfn, std::size_t offset, std::uint64_t value) {
    const FrameRange frame{gfn, Gfn{gfn.value + 1}};
    std::memcpy(memory_.raw(frame).data() + offset, &value, sizeof(value));
  }

  std::vector<std::string>& history_;
  InMemoryGuest& memory_;
  CallHook hook_ = no_hook();
  bool is_on_ = false;
  bool in_use_ = false;
  bool hides_grants_ = false;
  Gfn end_;
  FrameSet dirty_;
  FrameSet granted_;
};

}  // namespace hadump
