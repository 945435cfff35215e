// SPDX-License-Identifier: GPL-2.0-or-later
// Domains that appear, and domains that are gone.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "core/base/text.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/rescue/twin.h"

namespace hadump {
namespace {

// When hadumpd starts beside hundreds of domains: each of these jobs has connections to xenstored.
// One that takes longer waits for something else, and may do so forever.
constexpr std::size_t kMaxAdoptions = 32;
constexpr std::chrono::seconds kAdoptionTakes{5};

/// Whether the domain that we looked after is gone, and xl has created, restored or received one
/// with its UUID, which xl looks after. @pre one of its UUID is present.
bool is_of_another(const DomainRecord& record, const std::vector<DomainStatus>& present) {
  if (record.domid == 0) return false;  // Of a successor whose number was not written down.
  return std::none_of(present.begin(), present.end(), [&](const DomainStatus& status) {
    return !status.dying && status.uuid == record.uuid && status.domid == record.domid;
  });
}

}  // namespace

void Caretaker::adopt(const DomainStatus& status) {
  const auto now = world_.monotonic();
  const auto running = std::count_if(adoptions_.begin(), adoptions_.end(), [&](const auto& one) {
    return world_.jobs.busy(one.first) && now - one.second.began < kAdoptionTakes;
  });
  Adoption& adoption = adoptions_[status.domid];
  if (adoption.uuid != status.uuid) adoption = {status.uuid, {}, {}};
  if (static_cast<std::size_t>(running) >= kMaxAdoptions || !adoption.attempts.due(now)) return;
  adoption.began = now;
  auto started = world_.jobs.start<Ward>(
      status.domid, fmt::format("domain {}: reading its configuration", status.domid),
      [&host = world_.host, newcomer = Newcomer{status, policies_, world_.book.find(status.uuid)}] {
        return make_ward(host, newcomer);
      },
      [this, status](Result<Ward> ward) { adopted(status, std::move(ward)); });
  if (!started) adopted(status, fail(std::move(started)));
}

void Caretaker::adopted(const DomainStatus& status, Result<Ward> ward) {
  if (!ward) {
    // Early in its creation libxl has not written its configuration. The guest should be told
    // before it looks, so a new domain is not left alone for long.
    Adoption& adoption = adoptions_[status.domid];
    const unsigned late = std::max(adoption.attempts.failures(), kCreationLooks) - kCreationLooks;
    const bool was_late = adoption.is_late();
    const auto pause = pause_after(late);
    if (adoption.attempts.fail(ward.error().what(), world_.monotonic() + pause))
      spdlog::debug("domain {}: {}, retrying", status.domid, ward.error().what());
    if (adoption.is_late() && !was_late)
      spdlog::warn("domain {}: {}; a crash of it is left to xl. Retrying", status.domid,
                   ward.error().what());
    return;
  }
  adoptions_.erase(status.domid);
  if (ward->note.empty()) {
    const bool in_place = ward->policy.on_crash != OnCrash::kCapture &&
                          why_not_in_place(ward->config, ward->policy).empty();
    if (in_place)
      world_.preparer.prepare(status.domid, ward->config,
                              {ward->policy.window_bytes, ward->policy.window_cmdline});
    wards_are_new_ = true;
    if (in_place)
      spdlog::info("domain {} ({}): watching, window {}{}, save area {}", status.domid,
                   ward->config.name, format_size(ward->policy.window_bytes),
                   ward->window_why.empty() ? "" : fmt::format(" ({})", ward->window_why),
                   to_string(ward->policy.save_area));
    else
      spdlog::info("domain {} ({}): watching, to be captured to {}", status.domid,
                   ward->config.name, ward->policy.capture.to);
  } else if (!ward->config.name.starts_with(kTwinPrefix)) {
    spdlog::info("domain {} ({}): not watched: {}", status.domid, ward->config.name, ward->note);
  }
  wards_.insert_or_assign(status.domid, std::move(*ward));
}

void Caretaker::forget_gone(const std::vector<DomainStatus>& present) {
  const auto is_present = [&](const std::string& uuid) {
    return std::any_of(present.begin(), present.end(), [&](const DomainStatus& status) {
      return !status.dying && status.uuid == uuid;
    });
  };
  // Until its job is over or its successor is there, a domain is not forgotten. Another one of its
  // UUID is not it: xl makes such ones when it restarts or receives a domain.
  std::erase_if(wards_, [&](const auto& ward) {
    const auto is_it = [&](const DomainStatus& status) {
      return !status.dying && status.domid == ward.first && status.uuid == ward.second.config.uuid;
    };
    return std::none_of(present.begin(), present.end(), is_it) && !world_.jobs.busy(ward.first) &&
           !awaits_successor(ward.first);
  });
  std::erase_if(adoptions_, [&](const auto& one) {
    return std::none_of(present.begin(), present.end(), [&](const DomainStatus& status) {
      return !status.dying && status.domid == one.first;
    });
  });
  std::set<std::string> kept;
  std::set<std::string> changing;  // Their record may be ahead of what was seen.
  for (const auto& [domid, ward] : wards_) {
    kept.insert(ward.config.uuid);
    if (ward.departure || world_.jobs.busy(domid)) changing.insert(ward.config.uuid);
  }
  for (const CaptureView& capture : world_.captures.all())
    if (capture.record.is_aside()) {  // its successor may be about to come
      kept.insert(capture.record.uuid);
      changing.insert(capture.record.uuid);
    }
  std::erase_if(shown_, [&](const auto& shown) {
    return !is_present(shown.first) && !kept.contains(shown.first);
  });
  for (const DomainRecord& record : world_.book.all()) {
    const bool there = is_present(record.uuid);
    if (there ? !is_of_another(record, present) : kept.contains(record.uuid)) continue;
    if (there && changing.contains(record.uuid)) continue;
    if (record.has_snapshot())
      spdlog::warn("domain {} ({}): gone, and the dump in its memory is lost with it", record.domid,
                   record.name);
    else if (there)
      spdlog::info("domain {} ({}): gone; xl has made another one of its UUID, and looks after it",
                   record.domid, record.name);
    world_.book.forget(record.uuid);
  }
}

// What a hadumpd before us was killed over, while it created a domain again.
void Caretaker::take_over_successors(const std::vector<DomainStatus>& present) {
  for (auto& [uuid, blueprint] : std::exchange(successors_, {})) {
    auto record = world_.book.find(uuid);
    const auto status = std::find_if(present.begin(), present.end(), [&id = uuid](const auto& one) {
      return one.uuid == id && !one.dying;
    });
    const bool there = status != present.end();
    const bool half_made = there && status->paused && !status->shutdown && !status->has_run;
    // One that runs is the successor; one that has shut down is the old one, which is not gone yet.
    if (!record || (there && !half_made)) {
      if (record && there && !status->shutdown && record->domid == 0) {
        record->domid = status->domid;
        world_.book.note(*record);
      }
      world_.states.forget_successor(uuid);
      continue;
    }
    const auto departure = std::make_shared<Departure>();
    departure->domid = record->domid;
    departure->uuid = uuid;
    departure->name = record->name;
    departure->action = ShutdownAction::kRestart;
    departure->quick_restarts = record->quick_restarts;
    departure->blueprint = blueprint;
    if (half_made) departure->half_made = status->domid;
    Ward ward;
    ward.config.uuid = uuid;
    ward.config.name = record->name;
    ward.departure = departure;
    spdlog::info("domain {} ({}): finishing its re-creation, which was interrupted", record->domid,
                 record->name);
    wards_.insert_or_assign(record->domid, std::move(ward));
  }
}

}  // namespace hadump
