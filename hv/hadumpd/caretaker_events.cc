// What the caretaker does when a domain appears, shuts down, crashes or is done with its dump.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "core/base/text.h"
#include "hv/agent/crash_run.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/xen/xen_domain.h"
#include "hv/xen/xen_guest_memory.h"
#include "hv/xen/xen_guest_store.h"

namespace hadump {
namespace {

std::uint64_t now_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

constexpr std::string_view kTwinPrefix = "hadump-twin-";

}  // namespace

Result<Caretaker::Ward> Caretaker::make_ward(unsigned domid) {
  auto config = toolstack_.domain_config(domid);
  if (!config) return fail(std::move(config));
  Ward ward;
  ward.policy = policies_.for_domain(config->name);
  if (!ward.policy.kernel.empty()) {
    config->kernel = ward.policy.kernel;
    config->ramdisk = ward.policy.ramdisk;
  } else if (!ward.policy.ramdisk.empty()) {
    config->ramdisk = ward.policy.ramdisk;
  }
  if (!ward.policy.cmdline.empty()) config->cmdline = ward.policy.cmdline;
  ward.config = std::move(*config);
  ward.since_ms = now_ms();
  const bool owned = known_record(ward.config.uuid) != nullptr;
  if (ward.config.name.starts_with(kTwinPrefix)) {
    ward.note = "made by hadumpd itself";
  } else if (!ward.policy.enabled) {
    ward.note = "the policy says so";
  } else if (!ward.config.pvh) {
    ward.note = "not a PVH guest";
  } else if (ward.config.on_crash != ShutdownAction::kPreserve && !owned) {
    ward.note = "its on_crash is not \"preserve\"";
  } else if (auto ram = pvh_ram(ward.config.memory_bytes); !ram) {
    ward.note = ram.error().what();
  } else {
    ward.ram = std::move(*ram);
    if (auto plan = plan_window(ward.ram, ward.policy.window_bytes); !plan)
      ward.note = plan.error().what();
  }
  return ward;
}

// Nothing while libxl has not written the domain's configuration, early in its creation.
Caretaker::Ward* Caretaker::ward_of(const DomainStatus& status) {
  const auto known = wards_.find(status.domid);
  if (known != wards_.end() && known->second.config.uuid == status.uuid) return &known->second;
  auto ward = make_ward(status.domid);
  if (!ward) return nullptr;
  ward->config.uuid = status.uuid;  // the hypervisor's word counts
  if (ward->note.empty()) {
    preparer_.prepare(status.domid, ward->config);
    spdlog::info("domain {} ({}): watching, window {}, save area {}", status.domid,
                 ward->config.name, format_size(ward->policy.window_bytes),
                 to_string(ward->policy.save_area));
  } else if (!ward->config.name.starts_with(kTwinPrefix)) {
    spdlog::info("domain {} ({}): not watched: {}", status.domid, ward->config.name, ward->note);
  }
  return &wards_.insert_or_assign(status.domid, std::move(*ward)).first->second;
}

Result<> Caretaker::look_around() {
  auto domains = list_domains(handles_);
  if (!domains) return fail(std::move(domains));
  forget_gone(*domains);
  for (const DomainStatus& status : *domains) {
    if (status.dying) continue;
    if (Ward* ward = ward_of(status); ward != nullptr && ward->note.empty()) look_at(status, *ward);
  }
  return {};
}

void Caretaker::forget_gone(const std::vector<DomainStatus>& present) {
  const auto is_present = [&](const std::string& uuid) {
    return std::any_of(present.begin(), present.end(), [&](const DomainStatus& status) {
      return !status.dying && status.uuid == uuid;
    });
  };
  std::erase_if(wards_, [&](const auto& ward) { return !is_present(ward.second.config.uuid); });
  std::erase_if(records_, [&](const auto& record) {
    if (is_present(record.first)) return false;
    if (record.second.has_snapshot())
      spdlog::warn("domain {} ({}): gone, and the dump in its memory with it", record.second.domid,
                   record.second.name);
    states_.forget(record.first);
    return true;
  });
}

void Caretaker::reconsider() {
  // Wards are made anew, with the new policies, at the next look around.
  wards_.clear();
}

void Caretaker::give_up(unsigned domid, Ward& ward, const std::string& why) {
  ward.given_up = true;
  ward.since_ms = now_ms();
  spdlog::error("domain {} ({}): {}; leaving it as it is. SIGHUP makes hadumpd try again", domid,
                ward.config.name, why);
}

void Caretaker::look_at(const DomainStatus& status, Ward& ward) {
  // Not to a crashed domain: the event that xenstored sends with it would change its memory.
  if (!ward.published && !status.shutdown) {
    publish_policy(status.domid, ward);
    ward.published = true;
  }
  if (ward.given_up) {
    // Somebody else may have brought it back to life.
    if (!status.shutdown && !status.paused) ward.given_up = false;
    return;
  }
  DomainRecord* record = known_record(status.uuid);
  const bool mid_boot =
      record != nullptr && record->has_snapshot() && record->step != Step::kStarted;
  if (mid_boot && record->step == Step::kVcpusSet && !status.shutdown && !status.paused) {
    // An agent before us started it and died before it could write that down.
    record->step = Step::kStarted;
    record->started_ms = now_ms();
    if (auto done = states_.save(*record); !done) spdlog::error("{}", done.error().what());
    restarted_.insert(status.domid);
  } else if (mid_boot) {
    spdlog::info("domain {} ({}): finishing what was interrupted at step {}", status.domid,
                 ward.config.name, to_string(record->step));
    if (auto done = run_crash(status.domid, ward); !done)
      give_up(status.domid, ward, done.error().what());
  } else if (status.shutdown) {
    see_to_shutdown(status, ward);
  } else {
    see_to_running(status, ward);
  }
}

void Caretaker::see_to_shutdown(const DomainStatus& status, Ward& ward) {
  const DomainRecord* record = known_record(status.uuid);
  const bool owned = record != nullptr && record->started_ms != 0;
  const bool waits = record != nullptr && record->step == Step::kStarted;
  switch (status.reason) {
    case ShutdownReason::kWatchdog:
      if (!owned && ward.config.on_watchdog != ShutdownAction::kPreserve) return;
      return see_to_crash(status, ward);
    case ShutdownReason::kCrash:
      return see_to_crash(status, ward);
    case ShutdownReason::kReboot:
      if (waits) {
        // Destroying the domain would lose what has not been saved.
        spdlog::info("domain {} ({}): reboots while a dump waits; booting it again with the dump",
                     status.domid, ward.config.name);
        return see_to_crash(status, ward);
      }
      if (owned) obey(status, ward, ward.config.on_reboot);
      return;
    case ShutdownReason::kPoweroff:
      if (owned) obey(status, ward, ward.config.on_poweroff);
      return;
    default:
      return;  // suspended or in a migration: somebody else's business
  }
}

void Caretaker::see_to_crash(const DomainStatus& status, Ward& ward) {
  DomainRecord& record = record_of(status.domid, ward);
  const std::uint64_t now = now_ms() / 1000;
  // A crash that an agent before us began with has been counted.
  const bool counted = record.step != Step::kNone && record.step < Step::kSnapshotComplete;
  if (!counted) {
    if (crashes_too_often(record.crashes, now, ward.policy)) {
      record.error = fmt::format("crashed more than {} times within {} s", ward.policy.max_crashes,
                                 ward.policy.crash_period.count());
      if (auto done = states_.save(record); !done) spdlog::error("{}", done.error().what());
      return give_up(status.domid, ward,
                     record.error +
                         "; its memory is kept. Look at it, then `xl destroy` it, or "
                         "start it again with `hadumpd --once`");
    }
    constexpr std::size_t kMaxRemembered = 64;
    if (record.crashes.size() >= kMaxRemembered) record.crashes.erase(record.crashes.begin());
    record.crashes.push_back(now);
  }
  spdlog::info("domain {} ({}): {}", status.domid, ward.config.name,
               status.crashed() ? "crashed" : "reboots");
  if (auto done = run_crash(status.domid, ward); !done)
    give_up(status.domid, ward, done.error().what());
}

void Caretaker::see_to_running(const DomainStatus& status, Ward& ward) {
  DomainRecord* record = known_record(status.uuid);
  if (record == nullptr || record->step != Step::kStarted) return;
  XenGuestStore store(handles_.store.get(), status.domid);
  auto keys = store.guest_keys();
  if (!keys) return;
  const GuestProgress progress = check_progress(*keys, ward.ram);
  // What an earlier boot wrote there was removed before this one, so a missing id is no doubt.
  const bool ours = progress.dump_id.empty() || progress.dump_id == to_hex(record->dump_id);
  if (progress.state != GuestState::kDone || !ours) return;
  XenDomain domain(handles_, status.domid);
  XenGuestMemory memory(handles_, status.domid);
  if (auto done = finish_dump(domain, memory, store, states_, *record, now_ms()); !done)
    return give_up(status.domid, ward, "ending the dump: " + done.error().what());
  ward.since_ms = now_ms();
  spdlog::info("domain {} ({}): dump {} is done, the added memory is back", status.domid,
               ward.config.name, to_hex(record->dump_id));
}

Result<> Caretaker::act(unsigned domid, const Ward& ward, ShutdownAction action) {
  const std::string core =
      fmt::format("{}/{}-{}.core", core_directory_, ward.config.name, now_ms() / 1000);
  switch (action) {
    case ShutdownAction::kCoredumpDestroy:
    case ShutdownAction::kCoredumpRestart: {
      std::error_code error;
      std::filesystem::create_directories(core_directory_, error);
      if (auto done = toolstack_.dump_core(domid, core); !done)
        spdlog::error("domain {}: {}, continuing", domid, done.error().what());
      if (action == ShutdownAction::kCoredumpDestroy) return toolstack_.destroy(domid);
      return toolstack_.recreate(domid, /*rename=*/false).map([](unsigned) {});
    }
    case ShutdownAction::kDestroy:
      return toolstack_.destroy(domid);
    case ShutdownAction::kRestart:
      return toolstack_.recreate(domid, /*rename=*/false).map([](unsigned) {});
    case ShutdownAction::kRenameRestart:
      return toolstack_.recreate(domid, /*rename=*/true).map([](unsigned) {});
    case ShutdownAction::kPreserve:
    case ShutdownAction::kSoftReset:  // libxl refuses it for PVH and would destroy the domain
      return {};
  }
  return {};
}

// xl exited when it preserved the domain, so its configuration is ours to follow.
void Caretaker::obey(const DomainStatus& status, Ward& ward, ShutdownAction action) {
  spdlog::info("domain {} ({}): shut down; doing what its configuration says", status.domid,
               ward.config.name);
  DomainRecord* record = known_record(status.uuid);
  const bool restart =
      action == ShutdownAction::kRestart || action == ShutdownAction::kCoredumpRestart;
  const DomainRecord kept = *record;
  if (auto done = act(status.domid, ward, action); !done)
    return give_up(status.domid, ward, done.error().what());
  if (action == ShutdownAction::kPreserve || action == ShutdownAction::kSoftReset)
    return give_up(status.domid, ward, "shut down, and is to be preserved");
  const std::string uuid = kept.uuid;
  wards_.erase(status.domid);  // `ward` is gone from here on
  if (!restart) return;
  // No xl looks after the new domain either: it stays ours, without a dump.
  DomainRecord fresh;
  fresh.uuid = uuid;
  fresh.name = kept.name;
  fresh.step = Step::kDone;
  fresh.crashes = kept.crashes;
  fresh.started_ms = now_ms();
  if (auto done = states_.save(fresh); !done) spdlog::error("{}", done.error().what());
  records_.insert_or_assign(uuid, std::move(fresh));
}

}  // namespace hadump
