// SPDX-License-Identifier: GPL-2.0-or-later
// The end of captures: at an admin's request, or by the limits for how many are kept.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "hv/capture/discard.h"
#include "hv/hadumpd/caretaker.h"

namespace hadump {
namespace {

/// Set ahead by mistake, as at a start with an empty battery, a clock makes all captures old; a
/// time server sets it right within minutes.
constexpr std::chrono::hours kClockIsRight{1};

}  // namespace

Result<JobNumber> Caretaker::discard(const std::string& name) {
  const auto record = world_.captures.find(name);
  if (!record) return fail(ErrorCode::kNotFound, "no capture '" + name + "'");
  if (record->is_open()) return fail(ErrorCode::kBusy, "the capture is being written");
  if (record->is_aside())
    return fail(ErrorCode::kBusy,
                fmt::format("domain {} is kept for what the capture lacks; `xl destroy {}` first",
                            record->domid, record->domid));
  return start_discard(*record, "at an admin's request");
}

Result<JobNumber> Caretaker::start_discard(const CaptureRecord& record, const std::string& why) {
  return world_.jobs.start<void>(
      record.domid, fmt::format("capture {}: discarding it", record.name),
      [record] { return discard_files(record); },
      [this, name = record.name, why](const Result<>& done) {
        if (!done) {
          spdlog::warn("capture {}: not discarded: {}", name, done.error().what());
          asides_[name].fail(done.error().what(), world_.monotonic() + std::chrono::hours(1));
          return;
        }
        asides_.erase(name);
        world_.captures.forget(name);
        spdlog::info("capture {}: discarded {}", name, why);
      });
}

void Caretaker::discard_old_captures() {
  std::vector<EndedCapture> ended;
  for (const CaptureView& view : world_.captures.all()) {
    const CaptureRecord& record = view.record;
    if (record.state == CaptureState::kWritten && !record.domain_kept)
      ended.push_back({record.name, record.ended_ms, record.file_bytes});
  }
  CaptureLimits limits = policies_.captures();
  const std::uint64_t now_ms = world_.wall_ms();
  if (clock_.even_for(now_ms, world_.monotonic()) < kClockIsRight) limits.max_age_days = 0;
  for (const std::string& name : captures_to_discard(std::move(ended), limits, now_ms)) {
    const auto record = world_.captures.find(name);
    const auto waits = asides_.find(name);
    if (!record || world_.jobs.busy(record->domid) ||
        (waits != asides_.end() && !waits->second.due(world_.monotonic())))
      continue;
    static_cast<void>(start_discard(*record, "by the limits of [captures]"));  // or the next time
  }
}

}  // namespace hadump
