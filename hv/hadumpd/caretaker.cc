// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/caretaker.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "hv/domain/guest_kind.h"
#include "hv/rescue/twin.h"

namespace hadump {

Result<> Caretaker::load() {
  std::vector<std::string> complaints;
  if (auto done = world_.book.load(complaints); !done) return done;
  auto successors = world_.states.successors(complaints);
  if (!successors) return fail(std::move(successors));
  successors_ = std::move(*successors);
  if (auto done = world_.captures.load(complaints); !done) return done;
  for (const std::string& complaint : complaints) spdlog::warn("{}, continuing", complaint);
  return {};
}

Ward* Caretaker::ward_of(unsigned domid, const std::string& uuid) {
  const auto found = wards_.find(domid);
  return found == wards_.end() || found->second.config.uuid != uuid ? nullptr : &found->second;
}

const Ward* Caretaker::ward_of(unsigned domid, const std::string& uuid) const {
  const auto found = wards_.find(domid);
  return found == wards_.end() || found->second.config.uuid != uuid ? nullptr : &found->second;
}

// Whether the domain is gone or set aside already, and no job is at work on the one that replaces
// it.
bool Caretaker::awaits_successor(unsigned domid) const {
  if (world_.jobs.busy(domid)) return false;
  const auto found = wards_.find(domid);
  return found != wards_.end() && found->second.departure && found->second.departure->blueprint;
}

// Whether another domain of this UUID is being made or unmade: it is not this one's turn yet.
bool Caretaker::has_successor(const std::string& uuid, unsigned but_domid) const {
  return std::any_of(wards_.begin(), wards_.end(), [&](const auto& ward) {
    return ward.first != but_domid && ward.second.departure && ward.second.config.uuid == uuid;
  });
}

Result<> Caretaker::look_around() {
  auto domains = world_.host.domains();
  if (!domains) return fail(std::move(domains));
  take_over_successors(*domains);
  forget_gone(*domains);
  let_go_of_captures(*domains);
  see_to_live();
  const std::set<unsigned> asides = see_to_asides(*domains);
  if (policies_.captures().any()) discard_old_captures();
  for (const DomainStatus& status : *domains) {
    if (status.dying || world_.jobs.busy(status.domid) || awaits_successor(status.domid) ||
        has_successor(status.uuid, status.domid) || asides.contains(status.domid))
      continue;
    Ward* ward = ward_of(status.domid, status.uuid);
    if (ward == nullptr || ward->stale)
      adopt(status);
    else if (ward->note.empty())
      look_at(status, *ward);
    else if (status.shutdown && !ward->captured && ward->attempts.due(world_.monotonic()))
      see_to_capture(status, *ward);
  }
  for (auto& [domid, ward] : wards_) {
    if (awaits_successor(domid) && !ward.given_up && ward.attempts.due(world_.monotonic()))
      static_cast<void>(start_departure(domid, ward));  // what fails is seen in the ward
    note_state(domid, ward);
  }
  // Only now are all wards known. Not when one is gone: a domain that reboots comes back.
  if (wards_are_new_ && adoptions_.empty()) {
    wards_are_new_ = false;
    world_.preparer.keep_only(kernels());
  }
  return {};
}

std::map<unsigned, bool> Caretaker::listened_to() const {
  std::map<unsigned, bool> closely;
  for (const auto& [domid, ward] : wards_) {
    if (ward.ram.empty()) continue;
    const auto record = world_.book.find(ward.config.uuid);
    closely[domid] = record && record->step == Step::kStarted;
  }
  return closely;
}

// Also those that are not watched: what becomes of their crashes is another matter.
std::map<unsigned, StreamGuest> Caretaker::stream_guests() const {
  std::map<unsigned, StreamGuest> guests;
  for (const auto& [domid, ward] : wards_)
    if (ward.policy.stream.allowed && !ward.config.name.starts_with(kTwinPrefix))
      guests[domid] = {ward.config.name, ward.config.uuid, ward.policy.stream};
  return guests;
}

std::map<unsigned, std::string> Caretaker::kernels() const {
  std::map<unsigned, std::string> kernels;
  for (const auto& [domid, ward] : wards_)
    if (ward.note.empty()) kernels.emplace(domid, ward.config.kernel);
  return kernels;
}

void Caretaker::reconsider() {
  forget_window_steps();
  for (auto& [domid, ward] : wards_) {
    ward.stale = true;
    ward.given_up = false;
    ward.attempts.reset();
  }
  for (auto& [domid, adoption] : adoptions_) adoption.attempts.reset();
  // What waits for another attempt begins anew, by what the policies say now.
  for (const CaptureView& view : world_.captures.all()) {
    const CaptureRecord& record = view.record;
    if (record.unattended && record.is_open() && !record.is_aside() &&
        !world_.jobs.busy(record.domid))
      capture_failed(record.name, Error(ErrorCode::kCancelled, "the configuration was read again"));
  }
  for (auto& [name, attempts] : asides_) attempts.reset();
}

Result<JobNumber> Caretaker::trigger(unsigned domid, bool again) {
  const auto found = wards_.find(domid);
  if (found == wards_.end())
    return fail(ErrorCode::kNotFound, "hadumpd does not manage this domain");
  Ward& ward = found->second;
  // What is not looked after would be destroyed, and its memory with it.
  if (!ward.note.empty())
    return fail(ErrorCode::kUnsupported, "the domain is not watched: " + ward.note);
  if (ward.departure) return start_departure(domid, ward);
  auto domains = world_.host.domains();
  if (!domains) return fail(std::move(domains));
  const auto status = std::find_if(domains->begin(), domains->end(), [&](const auto& one) {
    return one.domid == domid && one.uuid == ward.config.uuid;
  });
  if (status == domains->end()) return fail(ErrorCode::kNotFound, "the domain is gone");
  const auto record = world_.book.find(ward.config.uuid);
  const bool unfinished = record && record->has_snapshot() && record->step != Step::kStarted;
  const bool ended = status->shutdown && record && record->step == Step::kStarted;
  if (status->crashed() || unfinished || ended) {
    if (!ward.config.kind->boots_in_place)
      return fail(ErrorCode::kUnsupported, why_not_in_place(ward.config, ward.policy));
    auto started = start_rescue(domid, ward);
    if (started)
      spdlog::info("domain {} ({}): retried at an admin's request", domid, ward.config.name);
    return started;
  }
  if (status->shutdown) return fail(ErrorCode::kBusy, "the domain has shut down already");
  if (again) return fail(ErrorCode::kBusy, "the domain runs again meanwhile");
  auto started = world_.jobs.start<void>(
      domid, fmt::format("domain {} ({}): making it crash", domid, ward.config.name),
      [&host = world_.host, domid] { return host.crash(domid); }, [](const Result<>&) {});
  if (started) {
    ward.job = *started;
    spdlog::info("domain {} ({}): crashed at an admin's request", domid, ward.config.name);
  }
  return started;
}

}  // namespace hadump
