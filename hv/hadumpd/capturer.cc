// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/capturer.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>

#include "hv/agent/care_rules.h"
#include "hv/capture/capture_facts.h"
#include "hv/capture/capture_mode.h"
#include "hv/capture/capture_modes.h"
#include "hv/hadumpd/clocks.h"

namespace hadump {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace

Result<> Capturer::operator()(CaptureTask task) const {
  const CaptureMode* mode = find_capture_mode(task.record.order.mode);
  if (mode == nullptr) return fail(ErrorCode::kUnsupported, "a capture of an unknown mode");
  auto open = host_.open(task.record.domid);
  if (!open) return fail(std::move(open));
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
      .own_successor = [this, &task](unsigned domid) { return own_successor(task.record, domid); }};
  return mode->run(world, task.record);
}

void Capturer::forget_ended() const {
  for (const CaptureView& view : book_.all())
    if (!view.record.is_open() && !view.record.domain_kept)
      forget_facts(state_directory_, view.record.name);
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
