// SPDX-License-Identifier: GPL-2.0-or-later
// Captures of domains that run. Such a capture is a job of its domain only until the instant is
// kept: a crash of the domain must not wait for the dump of how it was before.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "hv/hadumpd/caretaker.h"

namespace hadump {
namespace {

// Jobs of no domain have keys that are no domain's number (DOMID_FIRST_RESERVED is 0x7FF0).
constexpr unsigned kFirstWriter = 1U << 16;

// The domain may not be as it was.
bool is_interrupted(CaptureState state) {
  return state == CaptureState::kTracking || state == CaptureState::kStopping;
}

}  // namespace

void Caretaker::see_to_live() {
  for (const CaptureView& view : world_.captures.all()) {
    const CaptureRecord& record = view.record;
    if (!record.is_live() || !record.is_open()) continue;
    if (record.state == CaptureState::kWriting)
      start_live_writer(record);
    else if (!world_.jobs.busy(record.domid))  // else it is being taken
      repair_live(record);
  }
}

void Caretaker::live_taken(unsigned domid, const std::string& uuid, const std::string& name,
                           const Result<>& done) {
  auto record = world_.captures.find(name);
  if (!done && record && is_interrupted(record->state)) {
    // Something could not be taken back. After kCancelled hadumpd ends, and it is the next one's;
    // else it is see_to_live()'s, and so is the end of this capture.
    record->error = done.error().what();
    world_.captures.note(*record);
  } else if (!done && done.error().code() != ErrorCode::kCancelled) {
    capture_failed(name, done.error());
  }
  // After kCancelled, hadumpd ends; the next one removes what is left.
  if (Ward* ward = ward_of(domid, uuid)) ward->capturing = false;
}

void Caretaker::start_live_writer(const CaptureRecord& record) {
  if (writers_.contains(record.name)) return;
  const unsigned key = kFirstWriter + ++last_writer_;
  const auto started = world_.jobs.start<void>(
      key,
      fmt::format("domain {} ({}): writing capture {}", record.domid, record.domain, record.name),
      capture_work({{}, record}),
      [this, name = record.name](const Result<>& done) { live_written(name, done); });
  if (started) writers_[record.name] = key;  // else in the next round
}

void Caretaker::live_written(const std::string& name, const Result<>& done) {
  writers_.erase(name);
  if (!done && done.error().code() == ErrorCode::kCancelled) {
    writers_[name] = 0;  // hadumpd ends; the next one goes on
    return;
  }
  if (!done) return capture_failed(name, done.error());
  if (const auto record = world_.captures.find(name))
    spdlog::info("capture {}: the memory of domain {} ({}) is in {}, as it was at one instant",
                 name, record->domid, record->domain, record->file);
}

// An earlier hadumpd has ended in the middle, or we could not take something back. The domain may
// still be stopped.
void Caretaker::repair_live(const CaptureRecord& record) {
  if (record.state == CaptureState::kExamining)
    return capture_failed(record.name, Error(ErrorCode::kCancelled, "hadumpd ended meanwhile"));
  if (!asides_[record.name].due(world_.monotonic())) return;
  static_cast<void>(world_.jobs.start<void>(
      record.domid, fmt::format("capture {}: ending it", record.name), capture_work({{}, record}),
      [this, name = record.name, why = record.error](const Result<>& done) {
        Attempts& attempts = asides_[name];
        if (!done && done.error().code() != ErrorCode::kCancelled) {
          const auto pause = pause_after(attempts.failures() + 1);
          if (attempts.fail(done.error().what(), world_.monotonic() + pause))
            spdlog::error("capture {}: {}; trying again", name, done.error().what());
          return;
        }
        asides_.erase(name);
        if (!why.empty()) return capture_failed(name, Error(ErrorCode::kOs, why));
        capture_failed(name, done ? Error(ErrorCode::kCancelled, "interrupted") : done.error());
      }));  // or in the next round
}

}  // namespace hadump
