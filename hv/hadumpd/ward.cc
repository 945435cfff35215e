// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/ward.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "hv/domain/guest_kind.h"
#include "hv/rescue/registration.h"
#include "hv/rescue/snapshot.h"
#include "hv/rescue/twin.h"

namespace hadump {
namespace {

const DomainRecord* pointer_to(const std::optional<DomainRecord>& record) {
  return record ? &*record : nullptr;
}

void apply_boot_files(const DomainPolicy& policy, DomainConfig& config) {
  if (!policy.kernel.empty()) {
    config.kernel = policy.kernel;
    config.ramdisk = policy.ramdisk;
  } else if (!policy.ramdisk.empty()) {
    config.ramdisk = policy.ramdisk;
  }
  if (!policy.cmdline.empty()) config.cmdline = policy.cmdline;
}

// What its boot takes, as far as anybody knows. A guest that cannot be asked has said nothing.
BootNeed need_of(Host& host, unsigned domid, const Ward& ward) {
  const DomainConfig& config = ward.config;
  const DomainPolicy& policy = ward.policy;
  BootNeed need{.memory = config.memory_bytes,
                .vcpus = config.max_vcpus,
                .reserves_copy = policy.save_area == SaveMode::kRegistered};
  if (!policy.window_auto) return need;
  std::error_code error;
  const auto size = std::filesystem::file_size(config.ramdisk, error);
  if (!error) need.ramdisk = size;
  // What a guest has reserved fits the window that it was told of before it was measured.
  if (need.reserves_copy) return need;
  auto open = host.open(domid);
  if (!open) return need;
  const auto keys = (*open)->store().guest_keys();
  if (!keys) return need;
  const GuestProgress said = check_progress(*keys, ward.ram);
  if (said.state == GuestState::kRegistered) need.measured = said.boot_bytes;
  return need;
}

}  // namespace

void choose_window(Ward& ward) {
  if (!ward.policy.window_auto) return;
  WindowSize size = choose_window(ward.need, ward.policy.window_max);
  ward.policy.window_bytes = size.bytes;
  ward.window_why = std::move(size.why);
}

Result<Ward> make_ward(Host& host, const Newcomer& newcomer) {
  auto config = host.config(newcomer.status.domid);
  if (!config) return fail(std::move(config));
  Ward ward;
  ward.policy = newcomer.policies.for_domain(config->name);
  apply_boot_files(ward.policy, *config);
  ward.config = std::move(*config);
  ward.config.uuid = newcomer.status.uuid;  // the hypervisor's word counts
  if (auto ram = ram_of(ward.config)) ward.ram = std::move(*ram);
  ward.need = need_of(host, newcomer.status.domid, ward);
  choose_window(ward);
  ward.note = ward.config.name.starts_with(kTwinPrefix)
                  ? "made by hadumpd itself"
                  : why_not_watched(ward.config, ward.policy, pointer_to(newcomer.record));
  if (ward.note.empty() && !newcomer.status.shutdown)
    ward.published = publish_policy(host, newcomer.status.domid, ward, newcomer.record).has_value();
  return ward;
}

Result<> publish_policy(Host& host, unsigned domid, const Ward& ward,
                        const std::optional<DomainRecord>& record) {
  if (!ward.config.kind->boots_in_place) return {};  // the guest has no part in it
  auto plan = plan_window(ward.ram, ward.policy.window_bytes);
  if (!plan) return {};  // said when the dump that waits is over
  auto open = host.open(domid);
  if (!open) return fail(std::move(open));
  GuestStore& store = (*open)->store();
  std::vector<std::pair<const char*, std::string>> values = {
      {HADUMP_XS_AGENT_VERSION, std::to_string(HADUMP_ABI_VERSION)},
      {HADUMP_XS_AGENT_WINDOW, std::to_string(ward.policy.window_bytes)},
      {HADUMP_XS_AGENT_RESERVE,
       std::to_string(save_area_reserve(ward.ram, *plan, ward.config.max_vcpus))},
      {HADUMP_XS_AGENT_MODE, std::string(to_string(ward.policy.save_area))}};
  const auto keys = store.guest_keys();
  const GuestState guest = keys ? check_progress(*keys, ward.ram).state : GuestState::kNone;
  const std::string_view state = agent_state_for(pointer_to(record), guest);
  if (!state.empty()) values.emplace_back(HADUMP_XS_AGENT_STATE, state);
  for (const auto& [key, value] : values)
    if (auto done = store.publish(key, value); !done) return done;
  return {};
}

}  // namespace hadump
