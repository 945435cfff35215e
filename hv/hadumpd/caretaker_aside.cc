// SPDX-License-Identifier: GPL-2.0-or-later
// Captures whose domain was put aside, and replaced at once. Such a domain is nobody's but the
// capture's: brought back to life, it would be a second one with its successor's network address.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "hv/hadumpd/caretaker.h"

namespace hadump {

std::set<unsigned> Caretaker::see_to_asides(const std::vector<DomainStatus>& present) {
  std::set<unsigned> asides;
  for (const CaptureView& view : world_.captures.all()) {
    const CaptureRecord& record = view.record;
    if (!record.is_aside()) continue;
    const bool there = std::any_of(present.begin(), present.end(), [&](const DomainStatus& one) {
      return one.domid == record.domid && !one.dying &&
             (one.uuid == record.uuid || one.uuid == record.aside_uuid);
    });
    if (there) asides.insert(record.domid);
    // Its name and its state are the successor's from here on.
    wards_.erase(record.domid);
    adoptions_.erase(record.domid);
    if (record.is_open()) static_cast<void>(see_to_aside(record, there));
  }
  return asides;
}

// @return the job's number; 0: none is due.
JobNumber Caretaker::see_to_aside(const CaptureRecord& record, bool there) {
  if (world_.jobs.busy(record.domid)) return 0;
  Attempts& attempts = asides_[record.name];
  if (!attempts.due(world_.monotonic())) return 0;
  // Without the domain a run can still find out that all was written before it went.
  if (!there && attempts.failures() > 0) {
    asides_.erase(record.name);
    capture_failed(record.name, Error(ErrorCode::kNotFound, "the domain is gone"));
    return 0;
  }
  spdlog::info("capture {}: going on with it", record.name);
  CaptureTask task{
      {}, record, kept_free(record), policies_.for_domain(record.domain).backend_timeout};
  auto started = world_.jobs.start<void>(
      record.domid,
      fmt::format("domain {} ({}): capture {}", record.domid, record.domain, record.name),
      capture_work(std::move(task)),
      [this, domid = record.domid, uuid = record.uuid, name = record.name](const Result<>& done) {
        capture_done(domid, uuid, name, done);
      });
  if (!started) aside_failed(record, started.error());
  return started.value_or(0);
}

// Everything can be repeated: only a dump that is not whole for reasons unknown is for good.
void Caretaker::aside_failed(const CaptureRecord& record, const Error& error) {
  CaptureRecord now = record;
  now.error = error.what();
  world_.captures.note(now);
  Attempts& attempts = asides_[record.name];
  const auto pause = pause_after(attempts.failures() + 1);
  if (attempts.fail(error.what(), world_.monotonic() + pause))
    spdlog::error("capture {}: {}; retrying in {} s", record.name, error.what(),
                  std::chrono::round<std::chrono::seconds>(pause).count());
}

}  // namespace hadump
