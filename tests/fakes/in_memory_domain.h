// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "hv/rescue/crash_run.h"
#include "tests/fakes/call_hook.h"
#include "tests/fakes/in_memory_guest.h"

namespace hadump {

/// What happened to a fake guest, in order: "pause", "disconnect", "reset", "start" …
using History = std::vector<std::string>;

/// Domain that behaves: a crashed domain stays down until it is reset and started.
class InMemoryDomain : public Domain {
 public:
  explicit InMemoryDomain(History& history) : history_(history) {
    status_.domid = 7;
    status_.shutdown = true;
    status_.reason = ShutdownReason::kCrash;
    status_.max_memory_kib = 1U << 20;
  }
  /// A domain that `status` says everything about, but for its pauses.
  InMemoryDomain(History& history, const DomainStatus& status)
      : history_(history), status_(status), pauses_(status.paused ? 1 : 0) {}
  void shut_down(ShutdownReason reason) {
    status_.shutdown = true;
    status_.reason = reason;
  }
  void set_dying() { status_.dying = true; }
  void set_uuid(const std::string& uuid) { status_.uuid = uuid; }
  void crash_again() {
    status_.shutdown = true;
    status_.reason = ShutdownReason::kCrash;
  }
  void fail_next(const std::string& what) { failing_ = what; }
  void on_call(CallHook hook) { hook_ = std::move(hook); }
  int pauses() const { return pauses_; }
  GuestPhys entry() const { return entry_; }
  /// Where its limit is, and what counts against it.
  void set_memory(const InMemoryGuest& memory) { memory_ = &memory; }

  Result<DomainStatus> status() const override {
    if (auto failed = hook_("status"); !failed) return fail(std::move(failed));
    DomainStatus status = status_;
    status.paused = pauses_ > 0;
    if (memory_ != nullptr) status.max_memory_kib = memory_->limit_kib();
    return status;
  }
  Result<> pause() override {
    if (auto failed = hook_("pause"); !failed) return failed;
    ++pauses_;
    return note("pause");
  }
  Result<> unpause() override {
    if (auto failed = hook_("unpause"); !failed) return failed;
    if (pauses_ == 0) return fail(ErrorCode::kBusy, "not paused");
    --pauses_;
    return note("unpause");
  }
  /// vCPUs that exist but were never started, after the two that run.
  void add_idle_vcpus(u32 count) { idle_vcpus_ = count; }
  Result<CpuState> cpu_state() const override {
    if (auto failed = hook_("cpu_state"); !failed) return fail(std::move(failed));
    CpuState state;
    constexpr u32 kRunning = 2;
    for (u32 id = 0; id < kRunning + idle_vcpus_; ++id) {
      hadump_vcpu vcpu{};
      vcpu.id = id;
      if (id < kRunning) {
        vcpu.flags = HADUMP_VCPU_ONLINE;
        vcpu.gregs[16] = 0xffffffff81000000 + id;
      }
      state.vcpus.push_back(vcpu);
    }
    state.context.assign(100, std::byte{0x33});
    return state;
  }
  Result<> reset(std::span<const MapEntry> map) override {
    if (pauses_ == 0) return fail(ErrorCode::kBusy, "reset while it runs");
    if (auto failed = hook_("reset"); !failed) return failed;
    // The page that takes the place of the shared information.
    if (memory_ != nullptr && (memory_->total_frames().value() + 1) << 2 > memory_->limit_kib())
      return fail_os(ENOMEM, "reset");
    map_.assign(map.begin(), map.end());
    status_.shutdown = false;
    return note("reset");
  }
  /// Grants that others have mapped when it is reset.
  void hold_grants(std::vector<HeldGrants> held) { held_grants_ = std::move(held); }
  Result<std::vector<HeldGrants>> withdraw_grants() override {
    if (status_.shutdown) return fail(ErrorCode::kBusy, "withdrawing grants before a reset");
    if (auto failed = hook_("withdraw_grants"); !failed) return fail(std::move(failed));
    return held_grants_;
  }
  Result<> reset_cpus(std::span<const std::byte> context, GuestPhys entry,
                      GuestPhys start_info) override {
    if (context.size() != 100 || context.front() != std::byte{0x33})
      return fail(ErrorCode::kBadData, "a wrong context");
    if (auto failed = hook_("reset_cpus"); !failed) return failed;
    entry_ = entry;
    start_info_ = start_info;
    return note("reset_cpus");
  }
  Result<> start() override {
    if (auto failed = hook_("start"); !failed) return failed;
    pauses_ = 0;
    return note("start");
  }
  const std::vector<MapEntry>& map() const { return map_; }
  GuestPhys start_info() const { return start_info_; }

 private:
  Result<> note(const std::string& what) {
    if (failing_ == what) {
      failing_.clear();
      return fail_os(EIO, what);
    }
    history_.push_back(what);
    return {};
  }
  CallHook hook_ = no_hook();
  std::vector<HeldGrants> held_grants_;
  History& history_;
  DomainStatus status_;
  int pauses_ = 0;
  u32 idle_vcpus_ = 0;
  std::string failing_;
  std::vector<MapEntry> map_;
  GuestPhys entry_;
  GuestPhys start_info_{};
  const InMemoryGuest* memory_ = nullptr;
};

class InMemoryGuestLinks : public GuestLinks {
 public:
  explicit InMemoryGuestLinks(History& history) : history_(history) {}
  void refuse_to_disconnect() { refuse_ = true; }
  void on_call(CallHook hook) { hook_ = std::move(hook); }
  Result<> disconnect(std::chrono::milliseconds) override {
    if (auto failed = hook_("disconnect"); !failed) return failed;
    if (refuse_) return fail(ErrorCode::kBusy, "the backend of vbd/51712 stays in state 4, not 6");
    history_.push_back("disconnect");
    return {};
  }
  Result<> reconnect(std::chrono::milliseconds) override {
    if (auto failed = hook_("reconnect"); !failed) return failed;
    history_.push_back("reconnect");
    return {};
  }
  Result<> reopen_channels() override {
    if (auto failed = hook_("reopen_channels"); !failed) return failed;
    history_.push_back("reopen_channels");
    return {};
  }

 private:
  CallHook hook_ = no_hook();
  History& history_;
  bool refuse_ = false;
};

class InMemoryGuestStore : public GuestStore {
 public:
  GuestKeys keys;
  std::map<std::string, std::string> published;
  std::string request;  ///< of the toolstack, that the guest has not taken
  std::uint64_t target_kib = 0;
  CallHook hook = no_hook();

  Result<GuestKeys> guest_keys() const override {
    if (auto failed = hook("guest_keys"); !failed) return fail(std::move(failed));
    GuestKeys said = keys;
    std::erase_if(said, [](const auto& one) { return one.second.size() > HADUMP_XS_MAX_VALUE; });
    return said;
  }
  Result<> clear_guest_keys() override {
    if (auto failed = hook("clear_guest_keys"); !failed) return failed;
    keys.clear();
    return {};
  }
  Result<> withdraw_requests() override {
    request.clear();
    return {};
  }
  Result<> publish(const std::string& key, const std::string& value) override {
    if (auto failed = hook("publish"); !failed) return failed;
    published[key] = value;
    return {};
  }
  Result<std::uint64_t> balloon_target_kib() const override {
    if (auto failed = hook("balloon_target"); !failed) return fail(std::move(failed));
    return target_kib;
  }
  Result<> set_balloon_target_kib(std::uint64_t kib) override {
    if (auto failed = hook("set_balloon_target"); !failed) return failed;
    target_kib = kib;
    return {};
  }
};

/// What a killed agent's code never gets to see.
struct Killed {};

/// Keeps every record that was saved. After `stop_after(step)`, the save that writes that step down
/// throws Killed, so that nothing of the agent runs any more, just as after a signal.
class InMemoryRecordStore : public RecordStore {
 public:
  std::vector<DomainRecord> saved;

  void stop_after(Step step) { stop_ = step; }
  void go_on() { stop_ = Step::kNone; }
  /// The next save of that step is written, but says that it has failed.
  void deny_next(Step step) { denied_ = step; }
  void on_call(CallHook hook) { hook_ = std::move(hook); }
  Result<> save(const DomainRecord& record) override {
    if (auto failed = hook_("save"); !failed) return failed;
    saved.push_back(record);
    if (stop_ != Step::kNone && record.step == stop_) throw Killed{};
    if (denied_ != Step::kNone && record.step == denied_) {
      denied_ = Step::kNone;
      return fail_os(EIO, "save");
    }
    return {};
  }
  Result<> save_rewrite(const DomainRecord&, const SnapshotRewrite& rewrite) override {
    if (auto failed = hook_("save_rewrite"); !failed) return failed;
    rewrite_ = rewrite;
    return {};
  }
  Result<SnapshotRewrite> load_rewrite(const DomainRecord&) override {
    if (auto failed = hook_("load_rewrite"); !failed) return fail(std::move(failed));
    if (!rewrite_) return fail(ErrorCode::kNotFound, "no rewrite");
    return *rewrite_;
  }

 private:
  CallHook hook_ = no_hook();
  Step stop_ = Step::kNone;
  Step denied_ = Step::kNone;
  std::optional<SnapshotRewrite> rewrite_;
};

class InMemoryBootFiles : public BootFiles {
 public:
  std::vector<std::byte> kernel_bytes;
  std::vector<std::byte> ramdisk_bytes;
  AcpiTables tables;
  Result<std::span<const std::byte>> kernel() override { return std::span(kernel_bytes); }
  Result<std::span<const std::byte>> ramdisk() override { return std::span(ramdisk_bytes); }
  Result<AcpiTables> acpi_tables() override { return tables; }
};

}  // namespace hadump
