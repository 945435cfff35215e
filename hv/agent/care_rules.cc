// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/care_rules.h"

#include <fmt/format.h>

#include "hv/domain/guest_kind.h"
#include "hv/rescue/window_plan.h"

namespace hadump {
namespace {

bool dump_runs(const DomainRecord* record) {
  return record != nullptr && record->step == Step::kStarted;
}

std::string_view state_of(const ShownState::Facts& facts) {
  if (facts.capturing) return "capturing";
  if (facts.captured) return "captured";
  if (facts.ignored) return "ignored";
  if (facts.given_up) return "failed";
  if (facts.restarting) return "restarting";
  if (facts.rescuing) return "booting";
  if (facts.retrying) return "retrying";
  if (facts.record != nullptr && facts.record->has_snapshot() && !dump_runs(facts.record))
    return "booting";
  if (dump_runs(facts.record)) return facts.guest == GuestState::kSaving ? "saving" : "waiting";
  return facts.guest == GuestState::kRegistered ? "registered" : "watching";
}

// When a state began that was there before we looked for the first time; 0: nobody knows.
std::uint64_t earliest_known(std::string_view state, const DomainRecord* record) {
  if (record == nullptr) return 0;
  if (state == "booting" || state == "failed" || state == "retrying") return record->noticed_ms;
  if (state == "waiting" || state == "saving") return record->started_ms;
  return record->done_ms != 0 ? record->done_ms : record->started_ms;
}

}  // namespace

std::string why_not_watched(const DomainConfig& config, const DomainPolicy& policy,
                            const DomainRecord* record) {
  auto ram = ram_of(config);
  if (!ram) return ram.error().what();
  if (record != nullptr && record->has_snapshot()) return "";
  if (!policy.enabled) return "disabled by the policy";
  if (config.on_crash != ShutdownAction::kPreserve && record == nullptr)
    return "its on_crash is not \"preserve\"";
  return policy.on_crash == OnCrash::kRebootInPlace ? why_not_in_place(config, policy) : "";
}

std::string why_not_in_place(const DomainConfig& config, const DomainPolicy& policy) {
  auto ram = ram_of(config);
  if (!ram) return ram.error().what();
  if (!config.kind->boots_in_place)
    return fmt::format(
        "a guest of type \"{}\" is not booted in place; with `on-crash = capture` in "
        "hadumpd.conf the host keeps its memory",
        config.kind->name);
  if (config.kernel.empty())
    return "its kernel came from a boot loader (bootloader=) and was not kept; name "
           "`kernel =`, `ramdisk =` and `cmdline =` for it in hadumpd.conf";
  if (auto plan = plan_window(*ram, policy.window_bytes); !plan)
    return fmt::format("{}; with `on-crash = capture` in hadumpd.conf the host keeps its memory",
                       plan.error().what());
  return "";
}

bool is_captured(const DomainConfig& config, const DomainPolicy& policy, const DomainRecord& record,
                 GuestState guest) {
  // Its memory is partly a dump's and partly the kernel's that has crashed now.
  if (record.has_snapshot()) return false;
  if (policy.on_crash != OnCrash::kAuto) return policy.on_crash == OnCrash::kCapture;
  return guest == GuestState::kNone || !why_not_in_place(config, policy).empty();
}

std::string_view agent_state_for(const DomainRecord* record, GuestState guest) {
  if (record != nullptr && record->has_snapshot()) return "";
  const bool over = record != nullptr && record->step == Step::kDone;
  return over && guest == GuestState::kDone ? "save-area-returned" : "watching";
}

ShutdownDuty duty_at_shutdown(const DomainStatus& status, const DomainConfig& config,
                              const DomainRecord* record, bool never_up) {
  const auto action = configured_action(config, status.reason);
  if (!action) return {};  // suspended or in a migration
  const bool watchdog = status.reason == ShutdownReason::kWatchdog;
  const bool rescue =
      status.reason == ShutdownReason::kCrash ||
      (watchdog && *action == ShutdownAction::kPreserve) ||
      // Any other action would lose what has not been saved.
      ((watchdog || never_up || status.reason == ShutdownReason::kReboot) && dump_runs(record));
  if (rescue) return {ShutdownDuty::Kind::kRescue};
  const bool owned = record != nullptr && record->started_ms != 0;
  return owned ? ShutdownDuty{ShutdownDuty::Kind::kObey, *action} : ShutdownDuty{};
}

DomainRecord record_of_successor(const DomainRecord& old, std::uint64_t now_ms) {
  DomainRecord fresh;
  fresh.uuid = old.uuid;
  fresh.name = old.name;
  fresh.step = Step::kDone;
  fresh.crashes = old.crashes;
  fresh.started_ms = now_ms;
  return fresh;
}

void ShownState::update(const Facts& facts, std::uint64_t now_ms) {
  const std::string_view state = state_of(facts);
  // A domain that crashes between two looks is booting, or waiting, for another time.
  const bool known_exactly = state == "booting" || state == "waiting";
  if (const std::uint64_t known = earliest_known(state, facts.record);
      known != 0 && (known_exactly || state_.empty()))
    since_ms_ = known;
  else if (state != state_)
    since_ms_ = now_ms;
  state_ = state;
}

}  // namespace hadump
