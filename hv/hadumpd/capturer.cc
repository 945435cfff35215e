// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/capturer.h"

#include <spdlog/spdlog.h>

#include "core/base/host_name.h"
#include "core/base/text.h"
#include "hv/agent/care_rules.h"
#include "hv/capture/capture_facts.h"
#include "hv/capture/capture_mode.h"
#include "hv/capture/capture_modes.h"
#include "hv/hadumpd/clocks.h"
#include "hv/rescue/waiting_memory.h"

namespace hadump {
Result<> Capturer::operator()(CaptureTask task) const {
  const CaptureMode* mode = find_capture_mode(task.record.order.mode);
  if (mode == nullptr) return fail(ErrorCode::kUnsupported, "a capture of an unknown mode");
  auto open = host_.open(task.record.domid);
  if (!open) return fail(std::move(open));
  if (auto done = describe_as_before(**open, task); !done) return done;
  const std::string& name = task.record.name;
  const CaptureWorld world{
      .domain = **open,
      .config = task.config,
      .host_name = host_name(),
      .state_directory = state_directory_,
      .note = [this](const CaptureRecord& record) { return book_.save(record); },
      .progress = [this, &name](const SaveProgress& now) { book_.show(name, now.dump); },
      .info = [&name](const std::string& text) { spdlog::info("capture {}: {}", name, text); },
      .warn = [&name](const std::string& text) { spdlog::warn("capture {}: {}", name, text); },
      .cancelled = [this] { return stopping_.load(); },
      .wall_ms = wall_ms,
      .host = host_,
      .keep_free_bytes = task.keep_free_bytes,
      .backend_deadline = task.backend_timeout,
      .given_back = [this, &name](std::uint64_t bytes) { book_.show_given_back(name, bytes); },
      .waiting_memory = [this, &open, &task] { return waiting_memory((*open)->memory(), task); },
      .own_successor = [this, &task](unsigned domid) { return own_successor(task.record, domid); },
      .tracked = [this, &name](const LiveProgress& now) { book_.show(name, now); },
      .passed = [this](std::string_view step) { book_.passed(step); }};
  return mode->run(world, task.record);
}

void Capturer::forget_ended() const {
  for (const CaptureView& view : book_.all())
    if (!view.record.is_open() && !view.record.domain_kept)
      forget_facts(state_directory_, view.record.name);
}

// The crash run has changed what the guest's memory is to be, and libxl would describe the domain
// so.
Result<> Capturer::describe_as_before(OpenDomain& domain, CaptureTask& task) const {
  if (task.record.waiting_dump.empty() || task.record.state != CaptureState::kExamining) return {};
  const auto known = domains_.find(task.record.uuid);
  if (!known || known->raised_target_kib == 0) return {};
  if (auto done = domain.store().set_balloon_target_kib(known->old_target_kib); !done) return done;
  auto config = host_.config(task.record.domid);
  if (!config) return fail(std::move(config));
  task.config.blueprint = std::move(config->blueprint);
  return {};
}

Result<WaitingMemory> Capturer::waiting_memory(const GuestMemory& memory,
                                               const CaptureTask& task) const {
  const auto domain = domains_.find(task.record.uuid);
  if (!domain || to_hex(domain->dump_id) != task.record.waiting_dump)
    return fail(ErrorCode::kNotFound, "the dump does not wait in the domain any more");
  return look_at_waiting_memory(memory, task.config, *domain);
}

// No xl looks after a domain that we have created.
Result<> Capturer::own_successor(const CaptureRecord& record, unsigned domid) const {
  DomainRecord old = domains_.find(record.uuid).value_or(DomainRecord{});
  old.uuid = record.uuid;
  old.name = record.domain;
  DomainRecord fresh = record_of_successor(old, wall_ms());
  fresh.domid = domid;
  return domains_.save(fresh);
}

}  // namespace hadump
