// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/care_rules.h"

#include <gmock/gmock.h>

#include <map>
#include <vector>

#include "core/base/units.h"
#include "hv/domain/hvm_guest.h"
#include "hv/domain/pvh_guest.h"

namespace hadump {
namespace {

using Kind = ShutdownDuty::Kind;
using testing::HasSubstr;

DomainConfig good_config() {
  DomainConfig config;
  config.name = "guest";
  config.kind = &kPvhGuest;
  config.memory_bytes = 1_GiB;
  config.kernel = "/boot/vmlinuz";
  config.on_crash = ShutdownAction::kPreserve;
  return config;
}

DomainPolicy disabled() {
  DomainPolicy policy;
  policy.enabled = false;
  return policy;
}

DomainPolicy with_window(std::uint64_t bytes) {
  DomainPolicy policy;
  policy.window_bytes = bytes;
  return policy;
}

DomainRecord record_at(Step step) {
  DomainRecord record;
  record.uuid = "u";
  record.step = step;
  record.noticed_ms = 1000;
  record.started_ms = 2000;
  return record;
}

TEST(WhyNotWatched, SaysWhatIsWrong) {
  EXPECT_EQ(why_not_watched(good_config(), {}, nullptr), "");
  DomainConfig config = good_config();
  config.kind = nullptr;
  EXPECT_THAT(why_not_watched(config, {}, nullptr), HasSubstr("PVH"));
  config.kind = &kHvmGuest;
  EXPECT_THAT(why_not_watched(config, {}, nullptr), HasSubstr("\"hvm\" is not booted in place"));
  DomainPolicy captured;
  captured.on_crash = OnCrash::kCapture;
  EXPECT_EQ(why_not_watched(config, captured, nullptr), "");
  config = good_config();
  config.on_crash = ShutdownAction::kDestroy;
  EXPECT_THAT(why_not_watched(config, {}, nullptr), HasSubstr("on_crash"));
  DomainConfig by_pygrub = good_config();
  by_pygrub.kernel = "";  // It is a file of the guest's, which libxl has not kept.
  EXPECT_THAT(why_not_watched(by_pygrub, {}, nullptr), HasSubstr("`kernel =`"));
  const DomainRecord ours = record_at(Step::kDone);
  EXPECT_EQ(why_not_watched(config, {}, &ours), "") << "no xl looks after it any more";
  EXPECT_THAT(why_not_watched(good_config(), disabled(), &ours), HasSubstr("policy"));
  EXPECT_THAT(why_not_watched(good_config(), with_window(1_GiB), &ours), HasSubstr("window"));
}

// Whoever changes the configuration means the next crash; the dump that waits has its window.
TEST(WhyNotWatched, ADumpThatWaitsIsSeenToItsEnd) {
  for (Step step : {Step::kSnapshotComplete, Step::kReset, Step::kVcpusSet, Step::kStarted}) {
    const DomainRecord waits = record_at(step);
    EXPECT_EQ(why_not_watched(good_config(), disabled(), &waits), "");
    EXPECT_EQ(why_not_watched(good_config(), with_window(1_GiB), &waits), "");
  }
}

// Killed after the step "done": the guest still waits to hear that its save area is gone.
TEST(AgentState, IsSaidAgainWhenTheGuestHasNotHeardIt) {
  EXPECT_EQ(agent_state_for(nullptr, GuestState::kNone), "watching");
  const DomainRecord waits = record_at(Step::kStarted);
  EXPECT_EQ(agent_state_for(&waits, GuestState::kDone), "");
  const DomainRecord done = record_at(Step::kDone);
  EXPECT_EQ(agent_state_for(&done, GuestState::kDone), "save-area-returned");
  EXPECT_EQ(agent_state_for(&done, GuestState::kRegistered), "watching");
}

TEST(DutyAtShutdown, FollowsTheConfigurationOnlyWhenXlDoesNot) {
  DomainConfig config = good_config();
  config.on_reboot = ShutdownAction::kRestart;
  config.on_poweroff = ShutdownAction::kDestroy;
  const DomainRecord waits = record_at(Step::kStarted);
  const DomainRecord done = record_at(Step::kDone);
  const struct {
    ShutdownReason reason;
    const DomainRecord* record;
    ShutdownDuty duty;
  } cases[] = {
      {ShutdownReason::kCrash, nullptr, {Kind::kRescue}},
      {ShutdownReason::kCrash, &waits, {Kind::kRescue}},
      {ShutdownReason::kWatchdog, nullptr, {}},
      {ShutdownReason::kWatchdog, &waits, {Kind::kRescue}},
      {ShutdownReason::kWatchdog, &done, {Kind::kObey, ShutdownAction::kDestroy}},
      {ShutdownReason::kReboot, nullptr, {}},
      {ShutdownReason::kReboot, &waits, {Kind::kRescue}},
      {ShutdownReason::kReboot, &done, {Kind::kObey, ShutdownAction::kRestart}},
      {ShutdownReason::kPoweroff, nullptr, {}},
      {ShutdownReason::kPoweroff, &waits, {Kind::kObey, ShutdownAction::kDestroy}},
      {ShutdownReason::kPoweroff, &done, {Kind::kObey, ShutdownAction::kDestroy}},
      {ShutdownReason::kSuspend, &done, {}},
      {ShutdownReason::kSoftReset, &done, {}},
  };
  for (const auto& one : cases) {
    DomainStatus status;
    status.shutdown = true;
    status.reason = one.reason;
    EXPECT_EQ(duty_at_shutdown(status, config, one.record), one.duty) << &one - cases;
  }
  config.on_watchdog = ShutdownAction::kPreserve;
  DomainStatus status;
  status.shutdown = true;
  status.reason = ShutdownReason::kWatchdog;
  for (const DomainRecord* record : {static_cast<const DomainRecord*>(nullptr), &waits, &done})
    EXPECT_EQ(duty_at_shutdown(status, config, record), (ShutdownDuty{Kind::kRescue}));
}

// Domains of a host, the records of the caretaker, and what an action does to both: as Toolstack
// and Caretaker do it.
class ShutdownOnHost {
 public:
  ShutdownOnHost() {
    domains_.push_back(shut_down("u"));
    records_["u"] = record_at(Step::kDone);
  }
  void look(const DomainConfig& config) {
    const std::vector<DomainStatus> present = domains_;
    for (const DomainStatus& status : present) {
      const auto record = records_.find(status.uuid);
      if (!status.shutdown || given_up_) continue;
      const ShutdownDuty duty =
          duty_at_shutdown(status, config, record == records_.end() ? nullptr : &record->second);
      if (duty.kind == Kind::kObey) obey(status.uuid, duty.action);
    }
  }
  int acted() const { return acted_; }
  const std::vector<DomainStatus>& domains() const { return domains_; }
  const DomainRecord* record(const std::string& uuid) const {
    const auto found = records_.find(uuid);
    return found == records_.end() ? nullptr : &found->second;
  }

 private:
  static DomainStatus shut_down(const std::string& uuid) {
    DomainStatus status;
    status.uuid = uuid;
    status.shutdown = true;
    status.reason = ShutdownReason::kReboot;
    return status;
  }
  void obey(const std::string& uuid, ShutdownAction action) {
    ++acted_;
    const DomainRecord kept = records_.at(uuid);
    const Aftermath aftermath = aftermath_of(action);
    given_up_ = aftermath == Aftermath::kStays;
    if (given_up_) return;
    records_.erase(uuid);
    domains_.clear();
    if (action == ShutdownAction::kRenameRestart) domains_.push_back(shut_down("another"));
    if (aftermath == Aftermath::kGone) return;
    DomainStatus runs;
    runs.uuid = uuid;
    domains_.push_back(runs);
    records_[uuid] = record_of_successor(kept, 5000);
  }

  std::vector<DomainStatus> domains_;
  std::map<std::string, DomainRecord> records_;
  bool given_up_ = false;
  int acted_ = 0;
};

TEST(DutyAtShutdown, IsDoneOnceWhateverTheActionIs) {
  for (ShutdownAction action :
       {ShutdownAction::kDestroy, ShutdownAction::kRestart, ShutdownAction::kRenameRestart,
        ShutdownAction::kPreserve, ShutdownAction::kCoredumpDestroy,
        ShutdownAction::kCoredumpRestart, ShutdownAction::kSoftReset}) {
    DomainConfig config = good_config();
    config.on_reboot = action;
    ShutdownOnHost host;
    for (int i = 0; i < 5; ++i) host.look(config);
    EXPECT_EQ(host.acted(), 1) << static_cast<int>(action);
  }
}

TEST(DutyAtShutdown, TheDomainThatReplacesAnotherIsOurs) {
  for (ShutdownAction action : {ShutdownAction::kRestart, ShutdownAction::kRenameRestart,
                                ShutdownAction::kCoredumpRestart}) {
    DomainConfig config = good_config();
    config.on_reboot = action;
    ShutdownOnHost host;
    host.look(config);
    const DomainRecord* record = host.record("u");
    ASSERT_NE(record, nullptr) << static_cast<int>(action);
    EXPECT_EQ(record->step, Step::kDone);
    DomainStatus again;
    again.shutdown = true;
    again.reason = ShutdownReason::kReboot;
    EXPECT_EQ(duty_at_shutdown(again, config, record), (ShutdownDuty{Kind::kObey, action}));
  }
}

TEST(ShownState, CountsFromWhenAStateBegan) {
  ShownState shown;
  shown.update({}, 10);
  EXPECT_EQ(shown.state(), "watching");
  EXPECT_EQ(shown.since_ms(), 10U);
  shown.update({}, 20);
  EXPECT_EQ(shown.since_ms(), 10U) << "nothing has changed";
  shown.update({.guest = GuestState::kRegistered}, 30);
  EXPECT_EQ(shown.state(), "registered");
  EXPECT_EQ(shown.since_ms(), 30U);
  DomainRecord record = record_at(Step::kReset);
  shown.update({.guest = GuestState::kRegistered, .record = &record}, 2500);
  EXPECT_EQ(shown.state(), "booting");
  EXPECT_EQ(shown.since_ms(), 1000U);
  record.step = Step::kStarted;
  shown.update({.guest = GuestState::kWaiting, .record = &record}, 2600);
  EXPECT_EQ(shown.state(), "waiting");
  EXPECT_EQ(shown.since_ms(), 2000U);
  shown.update({.guest = GuestState::kSaving, .record = &record}, 2700);
  EXPECT_EQ(shown.state(), "saving");
  EXPECT_EQ(shown.since_ms(), 2700U);
  record.step = Step::kDone;
  record.done_ms = 2790;
  shown.update({.guest = GuestState::kRegistered, .record = &record}, 2800);
  EXPECT_EQ(shown.state(), "registered");
  EXPECT_EQ(shown.since_ms(), 2800U);
}

TEST(ShownState, IsAsOldAfterARestartOfTheAgent) {
  DomainRecord record = record_at(Step::kStarted);
  for (GuestState guest : {GuestState::kWaiting, GuestState::kSaving}) {
    ShownState shown;
    shown.update({.guest = guest, .record = &record}, 9000);
    EXPECT_EQ(shown.since_ms(), 2000U);
  }
  record.step = Step::kDone;
  record.done_ms = 3000;
  ShownState shown;
  shown.update({.record = &record}, 9000);
  EXPECT_EQ(shown.since_ms(), 3000U);
  shown.update({.given_up = true, .record = &record}, 9100);
  EXPECT_EQ(shown.state(), "failed");
  EXPECT_EQ(shown.since_ms(), 9100U);
}

TEST(ShownState, TellsWhatIsDoneAboutADomain) {
  const DomainRecord record = record_at(Step::kDone);
  ShownState shown;
  const auto state = [&](const ShownState::Facts& facts) {
    shown.update(facts, 9000);
    return std::string(shown.state());
  };
  EXPECT_EQ(state({.rescuing = true, .record = &record}), "booting");
  EXPECT_EQ(state({.retrying = true, .record = &record}), "retrying");
  EXPECT_EQ(state({.restarting = true, .record = &record}), "restarting");
  EXPECT_EQ(state({.given_up = true, .restarting = true, .record = &record}), "failed");
}

// A second crash between two looks: the dump waits again, but not since the first boot.
TEST(ShownState, WaitsSinceTheLastBoot) {
  DomainRecord record = record_at(Step::kStarted);
  ShownState shown;
  shown.update({.record = &record}, 2100);
  record.started_ms = 7000;
  shown.update({.record = &record}, 7100);
  EXPECT_EQ(shown.since_ms(), 7000U);
}

}  // namespace
}  // namespace hadump
