// SPDX-License-Identifier: GPL-2.0-or-later
// Captures: what is begun at an admin's request, continued after a restart, and what follows it.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "core/base/text.h"
#include "hv/capture/capture_modes.h"
#include "hv/capture/live_mode.h"
#include "hv/domain/guest_kind.h"
#include "hv/hadumpd/capture_order.h"
#include "hv/hadumpd/caretaker.h"

namespace hadump {
namespace {

std::string kept_text(const CaptureRecord& record) {
  return fmt::format(
      "the dump is kept in domain {}-{}; `hadump capture {} --mode alias --to PATH` writes it and "
      "gives its memory to the new domain, `xl destroy {}` gives it up",
      record.domain, record.domid, record.name, record.domid);
}

}  // namespace

Result<Caretaker::StartedCapture> Caretaker::capture(unsigned domid, const CaptureOrder& order) {
  if (auto checked = check_order(order); !checked) return fail(std::move(checked));
  if (const auto kept = kept_aside(domid)) return write_kept(*kept, order);
  const auto found = wards_.find(domid);
  if (found == wards_.end()) return fail(ErrorCode::kNotFound, "hadumpd does not know this domain");
  Ward& ward = found->second;
  auto domains = world_.host.domains();
  if (!domains) return fail(std::move(domains));
  const auto status = std::find_if(domains->begin(), domains->end(), [&](const auto& one) {
    return one.domid == domid && one.uuid == ward.config.uuid && !one.dying;
  });
  if (status == domains->end()) return fail(ErrorCode::kNotFound, "the domain is gone");
  if (auto checked = check_capture(*status, ward, order); !checked) return fail(std::move(checked));
  // What counts is the dump that waits, not the kernel that has died since.
  const auto waiting = world_.book.find(ward.config.uuid);
  const bool waits = waiting && waiting->step == Step::kStarted;
  auto started =
      begin_capture(domid, ward, order, CaptureCause::kAdmin, waits ? &*waiting : nullptr);
  if (started)
    spdlog::info("domain {} ({}): captured as {} at an admin's request", domid, ward.config.name,
                 started->name);
  return started;
}

// The capture that has put the domain aside and waits to be told where to write its memory.
std::optional<CaptureRecord> Caretaker::kept_aside(unsigned domid) const {
  for (const CaptureView& view : world_.captures.all()) {
    const CaptureRecord& record = view.record;
    const bool begun = !record.file.empty() || record.state == CaptureState::kLeaving;
    if (record.domid == domid && record.parks && record.is_aside() && !begun &&
        record.state != CaptureState::kFailed)
      return record;
  }
  return {};
}

Result<Caretaker::StartedCapture> Caretaker::write_kept(CaptureRecord record,
                                                        const CaptureOrder& order) {
  if (order.mode != "alias")
    return fail(ErrorCode::kUnsupported,
                "the domain was replaced already; use --mode alias, which gives its memory back");
  if (!order.pages.empty()) return fail(ErrorCode::kUnsupported, "--pages: all of it is kept");
  if (world_.jobs.busy(record.domid))
    return fail(ErrorCode::kBusy, "hadumpd is already working on the domain");
  record.order = order;
  record.state = CaptureState::kWriting;
  record.error.clear();
  world_.captures.note(record);
  asides_.erase(record.name);
  spdlog::info("capture {}: written to {} at an admin's request", record.name, order.to);
  return StartedCapture{see_to_aside(record, true), record.name};
}

Result<Caretaker::StartedCapture> Caretaker::begin_capture(unsigned domid, Ward& ward,
                                                           const CaptureOrder& order,
                                                           CaptureCause cause,
                                                           const DomainRecord* waiting) {
  CaptureRecord record =
      world_.captures.begin(ward.config.name, ward.config.uuid, domid, world_.wall_ms());
  record.order = order;
  record.domain_kept = !record.is_live();
  record.unattended = cause == CaptureCause::kCrash;  // see leave_window() for the others
  record.parks = cause == CaptureCause::kWindowParks;
  if (waiting != nullptr) record.dump_id = record.waiting_dump = to_hex(waiting->dump_id);
  const auto earlier = world_.captures.find(ward.config.uuid, domid);
  if (earlier && earlier->is_open() && !record.is_live())
    capture_failed(earlier->name, Error(ErrorCode::kCancelled, "another one has been begun"));
  // What is tried again and again is one attempt.
  const bool again = waiting != nullptr || (record.unattended && earlier && earlier->unattended);
  if (again && earlier && earlier->state == CaptureState::kFailed &&
      earlier->parks == record.parks && earlier->waiting_dump == record.waiting_dump)
    record.name = earlier->name;
  world_.captures.note(record);
  auto started = start_capture(domid, ward, record);
  if (!started) {
    capture_failed(record.name, started.error());
    return fail(std::move(started));
  }
  return StartedCapture{*started, record.name};
}

// Its configuration, or ours, wants the host to keep its memory and another domain in its place.
void Caretaker::capture_crash(unsigned domid, Ward& ward) {
  CaptureOrder order = capture_order(ward.policy.capture);
  // An alias would be refused, and the domain stay down.
  if (!ward.config.kind->keeps_memory.empty()) order.mode = "copy";
  auto checked = check_order(order);
  auto started = checked ? begin_capture(domid, ward, order, CaptureCause::kCrash)
                         : Result<StartedCapture>(fail(std::move(checked)));
  if (!started) return attempt_failed(domid, ward, started.error());
  spdlog::info("domain {} ({}): crashed; captured as {}", domid, ward.config.name, started->name);
}

Result<> Caretaker::check_capture(const DomainStatus& status, const Ward& ward,
                                  const CaptureOrder& order) const {
  if (auto ram = ram_of(ward.config); !ram)
    return fail(std::move(ram), "the domain cannot be captured");
  const bool is_live = order.mode == kLiveMode;
  if (is_live)
    if (auto done = check_live(status, ward.config.kind); !done) return done;
  if (!is_live && !status.shutdown)
    return fail(ErrorCode::kBusy, "the domain runs; --mode live captures one that does");
  if (world_.jobs.busy(status.domid) || ward.departure)
    return fail(ErrorCode::kBusy, "hadumpd is already working on the domain");
  const auto record = world_.book.find(ward.config.uuid);
  const bool is_kept = ward.given_up && record && record->step == Step::kStarted;
  if (record && record->has_snapshot() && !is_kept)
    return fail(ErrorCode::kBusy, "a dump of an earlier crash is in the domain; let it be saved");
  if (is_live) return {};
  const auto action = configured_action(ward.config, status.reason);
  const bool owned = record && record->started_ms != 0;
  if (!owned && action && *action != ShutdownAction::kPreserve)
    return fail(ErrorCode::kBusy,
                "the domain is not preserved: xl is about to follow its configuration");
  const bool restarts = order.restart || find_capture_mode(order.mode)->replaces;
  if (restarts && !ward.note.empty())
    return fail(ErrorCode::kUnsupported,
                fmt::format("{}: hadumpd would not look after the new domain: {}",
                            order.restart ? "--restart" : "--mode " + order.mode, ward.note));
  return {};
}

// What is kept with a dump stays until an admin has seen to it: other guests' crashes need memory,
// too.
std::uint64_t Caretaker::kept_free(const CaptureRecord& record) const {
  return policies_.host().keep_free_bytes + (record.parks ? kLeastWindow : 0);
}

// The next hadumpd must know what this one is about to do to a domain.
std::function<Result<>()> Caretaker::capture_work(CaptureTask task) const {
  return [world = world_, task = std::move(task)]() -> Result<> {
    if (auto done = world.captures.write_down(task.record.name); !done) return done;
    return world.capture(task);
  };
}

Result<JobNumber> Caretaker::start_capture(unsigned domid, Ward& ward,
                                           const CaptureRecord& record) {
  auto started = world_.jobs.start<void>(
      domid, fmt::format("domain {} ({}): capture {}", domid, ward.config.name, record.name),
      capture_work({ward.config, record, kept_free(record), ward.policy.backend_timeout}),
      [this, domid, uuid = ward.config.uuid, name = record.name](const Result<>& done) {
        capture_done(domid, uuid, name, done);
      });
  if (started) {
    ward.job = *started;
    ward.capturing = true;
    ward.given_up = ward.captured = false;
  }
  return started;
}

// Whether a capture decides what becomes of a domain that has shut down.
bool Caretaker::see_to_capture(const DomainStatus& status, Ward& ward) {
  const auto record = world_.captures.find(status.uuid, status.domid);
  if (!record || record->state == CaptureState::kFailed) return false;
  if (record->is_open()) {
    spdlog::info("domain {} ({}): continuing its capture {}", status.domid, ward.config.name,
                 record->name);
    auto started = start_capture(status.domid, ward, *record);
    if (!started && record->unattended && is_transient(started.error()))
      capture_paused(status.domid, status.uuid, *record, started.error());
    else if (!started)
      capture_failed(record->name, started.error());
    return true;
  }
  if (!record->order.restart) {
    ward.captured = ward.given_up = true;
    ward.why = fmt::format(
        "captured as {}; `xl destroy` it, or boot it again with `hadump trigger`", record->name);
    return true;
  }
  if (!ward.departure) {
    // What take_over_successors() needs; make_room() writes it down.
    DomainRecord domain = world_.book.find(ward.config.uuid).value_or(DomainRecord{});
    domain.uuid = ward.config.uuid;
    domain.name = ward.config.name;
    domain.domid = status.domid;
    world_.book.note(domain);
    ward.departure = plan_departure(status.domid, ward, ShutdownAction::kRestart);
    ward.departure->backend_deadline = ward.policy.backend_timeout;
  }
  static_cast<void>(start_departure(status.domid, ward));  // what fails is seen in the ward
  return true;
}

void Caretaker::capture_done(unsigned domid, const std::string& uuid, const std::string& name,
                             const Result<>& done) {
  auto record = world_.captures.find(name);
  if (record && record->is_live()) return live_taken(domid, uuid, name, done);
  if (!done && done.error().code() == ErrorCode::kCancelled) {
    // the next hadumpd goes on
  } else if (!done && record && record->is_aside() &&
             done.error().code() != ErrorCode::kIncomplete) {
    return aside_failed(*record, done.error());
  } else if (!done && record && record->unattended && is_transient(done.error())) {
    return capture_paused(domid, uuid, *record, done.error());
  } else if (!done) {
    capture_failed(name, done.error());
  }
  asides_.erase(name);
  record = world_.captures.find(name);
  if (done && record && !record->error.empty()) {
    record->error.clear();  // of an earlier attempt
    world_.captures.note(*record);
  }
  if (done && record && record->state == CaptureState::kKept)
    spdlog::warn("capture {}: {}", name, kept_text(*record));
  else if (done && record)
    spdlog::info("capture {}: the memory of domain {} ({}) is in {}", name, domid, record->domain,
                 record->file);
  if (record && !record->aside_uuid.empty()) wards_.erase(domid);  // its successor is another ward
  Ward* ward = ward_of(domid, uuid);
  if (ward == nullptr) return;  // the domain is gone
  ward->capturing = false;
  if (done) ward->attempts.reset();
  const bool cancelled = !done && done.error().code() == ErrorCode::kCancelled;
  if (!done && !cancelled && record && !record->waiting_dump.empty())
    return window_step_failed(
        domid, *ward, record->parks ? WindowStep::kRestart : WindowStep::kCapture, done.error());
  if (!done && ward->note.empty())
    give_up(domid, *ward, fmt::format("capture {}: {}", name, done.error().what()));
}

// What may succeed later is tried again: see_to_capture() goes on with it.
void Caretaker::capture_paused(unsigned domid, const std::string& uuid, CaptureRecord record,
                               const Error& error) {
  record.error = error.what();
  world_.captures.note(record);
  Ward* ward = ward_of(domid, uuid);
  if (ward == nullptr) return;  // the domain is gone
  ward->capturing = false;
  attempt_failed(domid, *ward, error);
}

void Caretaker::capture_failed(const std::string& name, const Error& error) {
  auto record = world_.captures.find(name);
  if (!record) return;
  record->state = CaptureState::kFailed;
  record->error = error.what();
  record->ended_ms = world_.wall_ms();
  world_.captures.note(*record);
  spdlog::error("capture {}: {}", name, error.what());
}

// The domains of these captures are gone.
void Caretaker::let_go_of_captures(const std::vector<DomainStatus>& present) {
  for (const CaptureView& view : world_.captures.all()) {
    const CaptureRecord& record = view.record;
    if (!record.domain_kept || world_.jobs.busy(record.domid)) continue;
    if (record.is_aside() && record.is_open()) continue;  // see_to_asides()
    const bool there = std::any_of(present.begin(), present.end(), [&](const DomainStatus& one) {
      return one.domid == record.domid && !one.dying &&
             one.uuid == (record.is_aside() ? record.aside_uuid : record.uuid);
    });
    if (there) continue;
    if (record.is_open() || record.state == CaptureState::kKept)
      capture_failed(record.name, Error(ErrorCode::kNotFound, "the domain is gone"));
    forget_captures_of(record.domid, record.uuid);
  }
}

void Caretaker::forget_captures_of(unsigned domid, const std::string& uuid) {
  if (!world_.captures.find(uuid, domid)) return;  // of each living domain, in each round
  for (const CaptureView& view : world_.captures.all()) {
    if (!view.record.domain_kept || view.record.domid != domid || view.record.uuid != uuid)
      continue;
    CaptureRecord record = view.record;
    record.domain_kept = false;
    world_.captures.note(record);
    if (record.is_open())
      capture_failed(record.name, Error(ErrorCode::kCancelled, "the domain was booted again"));
  }
}

}  // namespace hadump
