#include "hv/hadumpd/caretaker.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <random>

#include "core/base/text.h"
#include "hv/agent/crash_run.h"
#include "hv/xen/xen_domain.h"
#include "hv/xen/xen_guest_links.h"
#include "hv/xen/xen_guest_memory.h"
#include "hv/xen/xen_guest_store.h"

namespace hadump {
namespace {

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
  ward.since_ms = wall_ms();
  if (!ward.policy.enabled) {
    ward.note = "the policy says so";
  } else if (!ward.config.pvh) {
    ward.note = "not a PVH guest";
  } else if (auto ram = pvh_ram(ward.config.memory_bytes); !ram) {
    ward.note = ram.error().what();
  } else {
    ward.ram = std::move(*ram);
    if (auto plan = plan_window(ward.ram, ward.policy.window_bytes); !plan)
      ward.note = plan.error().what();
  }
  return ward;
}

Caretaker::Ward& Caretaker::ward_of(const DomainStatus& status) {
  const auto known = wards_.find(status.domid);
  if (known != wards_.end() && known->second.config.uuid == status.uuid) return known->second;
  auto ward = make_ward(status.domid);
  Ward made;
  if (ward) {
    made = std::move(*ward);
  } else {
    made.note = ward.error().what();
  }
  made.config.uuid = status.uuid;  // the hypervisor's word counts
  if (made.note.empty()) {
    publish_policy(status.domid, made);
    spdlog::info("domain {} ({}): watching, window {}, save area {}", status.domid,
                 made.config.name, format_size(made.policy.window_bytes),
                 to_string(made.policy.save_area));
  } else {
    spdlog::info("domain {} ({}): not watched: {}", status.domid, made.config.name, made.note);
  }
  return wards_.insert_or_assign(status.domid, std::move(made)).first->second;
}

void Caretaker::publish_policy(unsigned domid, const Ward& ward) {
  auto plan = plan_window(ward.ram, ward.policy.window_bytes);
  if (!plan) return;  // make_ward() has said so
  XenGuestStore store(handles_.store.get(), domid);
  const std::pair<const char*, std::string> values[] = {
      {HADUMP_XS_AGENT_VERSION, std::to_string(HADUMP_ABI_VERSION)},
      {HADUMP_XS_AGENT_WINDOW, std::to_string(ward.policy.window_bytes)},
      {HADUMP_XS_AGENT_RESERVE,
       std::to_string(save_area_reserve(ward.ram, *plan, ward.config.max_vcpus))},
      {HADUMP_XS_AGENT_MODE, std::string(to_string(ward.policy.save_area))}};
  for (const auto& [key, value] : values)
    if (auto done = store.publish(key, value); !done)
      spdlog::warn("domain {}: {}, continuing", domid, done.error().what());
  const auto record = records_.find(ward.config.uuid);
  if (record == records_.end() || !record->second.has_snapshot())
    static_cast<void>(store.publish(HADUMP_XS_AGENT_STATE, "watching"));  // told above if it fails
}

BootFileCache Caretaker::files_for(unsigned domid, const Ward& ward) {
  return BootFileCache({.kernel = ward.config.kernel,
                        .ramdisk = ward.config.ramdisk,
                        .cache_directory = paths_.state_directory + "/cache",
                        .run_directory = paths_.run_directory},
                       fmt::format("{}vcpus", ward.config.max_vcpus), [this, domid] {
                         return toolstack_.pristine_acpi_tables(
                             domid, paths_.run_directory + "/twin-kernel");
                       });
}

DomainRecord& Caretaker::record_of(unsigned domid, const Ward& ward) {
  DomainRecord& record = records_[ward.config.uuid];
  record.uuid = ward.config.uuid;
  record.name = ward.config.name;
  record.domid = domid;
  return record;
}

Result<> Caretaker::run_crash(unsigned domid, Ward& ward) {
  XenDomain domain(handles_, domid);
  XenGuestMemory memory(handles_, domid);
  XenGuestLinks links(handles_, domid);
  XenGuestStore store(handles_.store.get(), domid);
  BootFileCache files = files_for(domid, ward);
  CrashWorld world{.domain = domain,
                   .memory = memory,
                   .links = links,
                   .store = store,
                   .files = files,
                   .journal = states_,
                   .monotonic = [] { return std::chrono::nanoseconds(
                                         std::chrono::steady_clock::now().time_since_epoch()); },
                   .wall_ms = wall_ms,
                   .new_dump_id = random_dump_id,
                   .warn = [&ward](const std::string& text) {
                     spdlog::warn("domain {}: {}", ward.config.name, text);
                   }};
  const CrashPolicy policy{.window_bytes = ward.policy.window_bytes,
                           .mode = ward.policy.save_area,
                           .backend_deadline = ward.policy.backend_timeout};
  DomainRecord& record = record_of(domid, ward);
  auto done = CrashRun(world, policy, ward.config).run(record);
  log_times(record);
  return done;
}

void Caretaker::log_times(const DomainRecord& record) const {
  std::string line;
  for (const auto& [step, ms] : record.times) line += fmt::format(" {}={:.1f}ms", step, ms);
  spdlog::info("domain {} ({}): step {}, dump {}, boot {}:{}", record.domid, record.name,
               to_string(record.step), to_hex(record.dump_id), record.boots, line);
}

Result<> Caretaker::rescue(unsigned domid) {
  auto status = XenDomain(handles_, domid).status();
  if (!status) return fail(std::move(status));
  Ward& ward = ward_of(*status);
  if (!ward.note.empty()) return fail(ErrorCode::kUnsupported, ward.note);
  const auto record = records_.find(status->uuid);
  const bool unfinished = record != records_.end() && record->second.has_snapshot() &&
                          record->second.step != Step::kStarted;
  if (!status->crashed() && !unfinished)
    return fail(ErrorCode::kBusy, "the domain has not crashed");
  return run_crash(domid, ward);
}

}  // namespace hadump
