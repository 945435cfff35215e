// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/caretaker.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <random>

#include "core/base/text.h"
#include "hv/rescue/crash_run.h"
#include "hv/xen/xen_domain.h"
#include "hv/xen/xen_guest_links.h"
#include "hv/xen/xen_guest_memory.h"
#include "hv/xen/xen_guest_store.h"

namespace hadump {
namespace {

// For a domain that crashes before what it boots from is ready. Unpacking takes seconds, libxl a
// second; beyond that it hangs.
constexpr std::chrono::seconds kFilesPatience{60};

std::uint64_t wall_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

DumpId random_dump_id() {
  std::random_device random;
  DumpId id;
  for (std::uint8_t& byte : id) byte = static_cast<std::uint8_t>(random());
  return id;
}

}  // namespace

Result<> Caretaker::load() {
  std::vector<std::string> complaints;
  auto records = states_.load_all(complaints);
  if (!records) return fail(std::move(records));
  for (const std::string& complaint : complaints) spdlog::warn("{}, continuing", complaint);
  for (DomainRecord& record : *records) records_.insert_or_assign(record.uuid, std::move(record));
  return {};
}

DomainRecord& Caretaker::record_of(unsigned domid, const Ward& ward) {
  DomainRecord& record = records_[ward.config.uuid];
  record.uuid = ward.config.uuid;
  record.name = ward.config.name;
  record.domid = domid;
  return record;
}

DomainRecord* Caretaker::known_record(const std::string& uuid) {
  const auto found = records_.find(uuid);
  return found == records_.end() ? nullptr : &found->second;
}

void Caretaker::publish_policy(unsigned domid, const Ward& ward) {
  auto plan = plan_window(ward.ram, ward.policy.window_bytes);
  if (!plan) return;  // said when the dump that waits is over
  XenGuestStore store(handles_.store.get(), domid);
  std::vector<std::pair<const char*, std::string>> values = {
      {HADUMP_XS_AGENT_VERSION, std::to_string(HADUMP_ABI_VERSION)},
      {HADUMP_XS_AGENT_WINDOW, std::to_string(ward.policy.window_bytes)},
      {HADUMP_XS_AGENT_RESERVE,
       std::to_string(save_area_reserve(ward.ram, *plan, ward.config.max_vcpus))},
      {HADUMP_XS_AGENT_MODE, std::string(to_string(ward.policy.save_area))}};
  const std::string_view state =
      agent_state_for(known_record(ward.config.uuid), guest_state(domid, ward));
  if (!state.empty()) values.emplace_back(HADUMP_XS_AGENT_STATE, state);
  for (const auto& [key, value] : values)
    if (auto done = store.publish(key, value); !done)
      spdlog::warn("domain {}: {}, continuing", domid, done.error().what());
}

Result<> Caretaker::run_crash(unsigned domid, Ward& ward) {
  XenDomain domain(handles_, domid);
  XenGuestMemory memory(handles_, domid);
  XenGuestLinks links(handles_, domid);
  XenGuestStore store(handles_.store.get(), domid);
  const WatchedWork work(stalls_, fmt::format("domain {} ({})", domid, ward.config.name));
  BootFileCache files = preparer_.files(domid, ward.config, kFilesPatience);
  const CrashWorld world{
      .domain = domain,
      .memory = memory,
      .links = links,
      .store = store,
      .files = files,
      .records = states_,
      .monotonic =
          [] {
            return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch());
          },
      .wall_ms = wall_ms,
      .new_dump_id = random_dump_id,
      .warn = [&ward](const std::string& text) { spdlog::warn("{}: {}", ward.config.name, text); },
      .reached = [this](const std::string& step) { stalls_.reached(step); }};
  std::vector<const DomainRecord*> records;
  for (const auto& [uuid, one] : records_) records.push_back(&one);
  const HostLimits& limits = policies_.host();
  const CrashPolicy policy{
      .window_bytes = ward.policy.window_bytes,
      .mode = ward.policy.save_area,
      .backend_deadline = ward.policy.backend_timeout,
      .keep_free_bytes = limits.keep_free_bytes,
      .may_add_save_area = may_add_save_area(records, ward.config.uuid, limits)};
  DomainRecord& record = record_of(domid, ward);
  auto done = CrashRun(world, policy, ward.config).run(record);
  if (done) {
    log_times(record);
    restarted_.insert(domid);
  }
  return done;
}

void Caretaker::log_times(const DomainRecord& record) const {
  std::string line;
  double total = 0;
  for (const auto& [step, ms] : record.times) {
    line += fmt::format(" {}={:.1f}", step, ms);
    total += ms;
  }
  spdlog::info("domain {} ({}): started again, dump {}, boot {}, total {:.1f} ms:{}", record.domid,
               record.name, to_hex(record.dump_id), record.boots, total, line);
}

Result<> Caretaker::rescue(unsigned domid) {
  auto status = XenDomain(handles_, domid).status();
  if (!status) return fail(std::move(status));
  Ward* ward = ward_of(*status);
  if (ward == nullptr) return fail(ErrorCode::kNotFound, "libxl has no configuration for it");
  if (!ward->note.empty()) return fail(ErrorCode::kUnsupported, ward->note);
  const DomainRecord* record = known_record(status->uuid);
  const bool unfinished =
      record != nullptr && record->has_snapshot() && record->step != Step::kStarted;
  if (!status->crashed() && !unfinished)
    return fail(ErrorCode::kBusy, "the domain has not crashed");
  auto done = run_crash(domid, *ward);
  ward->given_up = !done;
  return done;
}

Result<> Caretaker::trigger(unsigned domid) {
  auto status = XenDomain(handles_, domid).status();
  if (!status) return fail(std::move(status));
  const auto found = wards_.find(domid);
  if (found == wards_.end())
    return fail(ErrorCode::kNotFound, "hadumpd does not manage this domain");
  // What is not looked after would be destroyed, and its memory with it.
  if (!found->second.note.empty())
    return fail(ErrorCode::kUnsupported, "the domain is not watched: " + found->second.note);
  if (status->crashed()) {
    spdlog::info("domain {} ({}): retried at an admin's request", domid, found->second.config.name);
    return rescue(domid);
  }
  if (status->shutdown) return fail(ErrorCode::kBusy, "the domain has shut down already");
  spdlog::info("domain {} ({}): crashed at an admin's request", domid, found->second.config.name);
  return XenDomain(handles_, domid).crash();
}

std::set<unsigned> Caretaker::wards() const {
  std::set<unsigned> domids;
  for (const auto& [domid, ward] : wards_) domids.insert(domid);
  return domids;
}

// One look into xenstore, since it is done every second.
GuestState Caretaker::guest_state(unsigned domid, const Ward& ward) const {
  auto state = XenGuestStore(handles_.store.get(), domid).guest_key(HADUMP_XS_STATE);
  return state ? check_progress({{HADUMP_XS_STATE, *state}}, ward.ram).state : GuestState::kNone;
}

void Caretaker::note_state(unsigned domid, const Ward& ward) {
  ShownState::Facts facts{.ignored = !ward.note.empty(),
                          .given_up = ward.given_up,
                          .record = known_record(ward.config.uuid)};
  if (!facts.ignored) facts.guest = guest_state(domid, ward);
  shown_[ward.config.uuid].update(facts, wall_ms());
}

std::vector<DomainView> Caretaker::views() {
  std::vector<DomainView> views;
  for (const auto& [domid, ward] : wards_) {
    note_state(domid, ward);
    const ShownState& shown = shown_[ward.config.uuid];
    DomainView view;
    view.name = ward.config.name;
    view.uuid = ward.config.uuid;
    view.domid = domid;
    view.state = shown.state();
    view.since_ms = shown.since_ms();
    view.memory_bytes = ward.config.memory_bytes;
    view.note = ward.note.empty() ? preparer_.trouble(domid) : ward.note;
    if (const DomainRecord* record = known_record(ward.config.uuid)) view.record = *record;
    if (!ward.ram.empty())
      if (auto keys = XenGuestStore(handles_.store.get(), domid).guest_keys())
        view.progress = check_progress(*keys, ward.ram);
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace hadump
