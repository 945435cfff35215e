// SPDX-License-Identifier: GPL-2.0-or-later
// What the caretaker does when a domain appears, shuts down, crashes or is done with its dump.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "core/base/text.h"
#include "hv/agent/crash_limit.h"
#include "hv/domain/guest_kind.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/rescue/crash_run.h"
#include "hv/rescue/finish_dump.h"
#include "hv/rescue/twin.h"
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
  ward.note = ward.config.name.starts_with(kTwinPrefix)
                  ? "made by hadumpd itself"
                  : why_not_watched(ward.config, ward.policy, known_record(ward.config.uuid));
  if (auto ram = ram_of(ward.config)) ward.ram = std::move(*ram);
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
    preparer_.prepare(status.domid, ward->config, ward->policy.window_bytes);
    wards_are_new_ = true;
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
    if (const auto ward = wards_.find(status.domid); ward != wards_.end())  // unless it is gone now
      note_state(status.domid, ward->second);
  }
  // Only now are all wards known. Not when one is gone: a domain that reboots comes back.
  if (std::exchange(wards_are_new_, false)) preparer_.keep_only(kernels());
  return {};
}

std::map<unsigned, std::string> Caretaker::kernels() const {
  std::map<unsigned, std::string> kernels;
  for (const auto& [domid, ward] : wards_)
    if (ward.note.empty()) kernels.emplace(domid, ward.config.kernel);
  return kernels;
}

void Caretaker::forget_gone(const std::vector<DomainStatus>& present) {
  const auto is_present = [&](const std::string& uuid) {
    return std::any_of(present.begin(), present.end(), [&](const DomainStatus& status) {
      return !status.dying && status.uuid == uuid;
    });
  };
  std::erase_if(wards_, [&](const auto& ward) { return !is_present(ward.second.config.uuid); });
  std::erase_if(shown_, [&](const auto& shown) { return !is_present(shown.first); });
  std::erase_if(records_, [&](const auto& record) {
    if (is_present(record.first)) return false;
    if (record.second.has_snapshot())
      spdlog::warn("domain {} ({}): gone, and the dump in its memory is lost with it",
                   record.second.domid, record.second.name);
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
  spdlog::error("domain {} ({}): {}; leaving it as it is. SIGHUP makes hadumpd retry", domid,
                ward.config.name, why);
}

void Caretaker::look_at(const DomainStatus& status, Ward& ward) {
  // Not to a crashed domain: the event that xenstored sends with it would change its memory.
  if (!ward.published && !status.shutdown) {
    publish_policy(status.domid, ward);
    ward.published = true;
  }
  DomainRecord* record = known_record(status.uuid);
  const bool lives = !status.shutdown && !status.paused;
  if (ward.given_up && !lives) return;
  ward.given_up = false;  // somebody else may have brought it back to life
  if (record != nullptr && notice_start(*record, status, now_ms())) {
    if (auto done = states_.save(*record); !done) spdlog::error("{}", done.error().what());
    restarted_.insert(status.domid);
  }
  const bool mid_boot =
      record != nullptr && record->has_snapshot() && record->step != Step::kStarted;
  if (lives && !mid_boot && record != nullptr && record->crash_counted) {
    record->crash_counted = false;  // the next crash is another one
    if (auto done = states_.save(*record); !done) spdlog::error("{}", done.error().what());
  }
  if (mid_boot) {
    spdlog::info("domain {} ({}): finishing the run that was interrupted at step {}", status.domid,
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
  const ShutdownDuty duty = duty_at_shutdown(status, ward.config, known_record(status.uuid));
  switch (duty.kind) {
    case ShutdownDuty::Kind::kNothing:
      return;
    case ShutdownDuty::Kind::kRescue:
      return see_to_crash(status, ward);
    case ShutdownDuty::Kind::kObey:
      return obey(status, ward, duty.action);
  }
}

void Caretaker::see_to_crash(const DomainStatus& status, Ward& ward) {
  DomainRecord& record = record_of(status.domid, ward);
  if (auto counted = count_crash(record, seconds_since_boot(), ward.policy); !counted) {
    record.error = counted.error().what();
    if (auto done = states_.save(record); !done) spdlog::error("{}", done.error().what());
    return give_up(status.domid, ward,
                   record.error +
                       "; its memory is kept. Examine it and then `xl destroy` it, or boot it "
                       "again with `hadump trigger`");
  }
  spdlog::info(
      "domain {} ({}): {}", status.domid, ward.config.name,
      status.crashed() ? "crashed" : "reboots while a dump waits; booting it again with the dump");
  if (auto done = run_crash(status.domid, ward); !done)
    give_up(status.domid, ward, done.error().what());
}

void Caretaker::see_to_running(const DomainStatus& status, Ward& ward) {
  DomainRecord* record = known_record(status.uuid);
  if (record == nullptr || record->step != Step::kStarted) return;
  XenGuestStore store(handles_.store.get(), status.domid);
  auto keys = store.guest_keys();
  if (!keys) return;
  XenGuestMemory memory(handles_, status.domid);
  if (!dump_is_over(memory, *record, check_progress(*keys, ward.ram))) return;
  XenDomain domain(handles_, status.domid);
  auto beyond = finish_dump(domain, memory, store, states_, *record, now_ms());
  if (!beyond) {
    // It is tried again at every look, which is no reason to say so every second.
    if (std::exchange(ward.trouble, beyond.error().what()) != beyond.error().what())
      spdlog::error("domain {} ({}): ending the dump: {}, trying again", status.domid,
                    ward.config.name, beyond.error().what());
    return;
  }
  if (*beyond != 0)
    spdlog::warn("domain {} ({}): {}", status.domid, ward.config.name, memory_kept_text(*beyond));
  ward.trouble.clear();
  spdlog::info("domain {} ({}): dump {} is done", status.domid, ward.config.name,
               to_hex(record->dump_id));
  // What was not asked while the dump waited.
  ward.note = why_not_watched(ward.config, ward.policy, record);
  if (!ward.note.empty())
    spdlog::info("domain {} ({}): no longer watched: {}", status.domid, ward.config.name,
                 ward.note);
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
      return toolstack_.recreate(domid, /*keep_old=*/false).map([](unsigned) {});
    }
    case ShutdownAction::kDestroy:
      return toolstack_.destroy(domid);
    case ShutdownAction::kRestart:
      return toolstack_.recreate(domid, /*keep_old=*/false).map([](unsigned) {});
    case ShutdownAction::kRenameRestart:
      return toolstack_.recreate(domid, /*keep_old=*/true).map([](unsigned) {});
    case ShutdownAction::kPreserve:
    case ShutdownAction::kSoftReset:  // libxl refuses it for PVH and would destroy the domain
      return {};
  }
  return {};
}

void Caretaker::obey(const DomainStatus& status, Ward& ward, ShutdownAction action) {
  spdlog::info("domain {} ({}): shut down; following its configuration", status.domid,
               ward.config.name);
  const DomainRecord kept = *known_record(status.uuid);
  const WatchedWork work(stalls_, fmt::format("domain {} ({}): following its configuration",
                                              status.domid, ward.config.name));
  if (auto done = act(status.domid, ward, action); !done)
    return give_up(status.domid, ward, done.error().what());
  const Aftermath aftermath = aftermath_of(action);
  if (aftermath == Aftermath::kStays)
    return give_up(status.domid, ward, "shut down and is preserved");
  wards_.erase(status.domid);  // `ward` is gone from here on
  if (aftermath == Aftermath::kGone) return;
  DomainRecord fresh = record_of_successor(kept, now_ms());
  if (auto done = states_.save(fresh); !done) spdlog::error("{}", done.error().what());
  records_.insert_or_assign(kept.uuid, std::move(fresh));
}

}  // namespace hadump
