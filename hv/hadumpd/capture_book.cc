// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/capture_book.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

#include "core/save/target.h"
#include "hv/capture/capture_modes.h"

namespace hadump {
namespace {

constexpr std::size_t kMaxEnded = 64;

std::string random_dump_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

bool older(const CaptureView& a, const CaptureView& b) {
  return a.record.begun_ms < b.record.begun_ms;
}

}  // namespace

Result<> CaptureBook::load(std::vector<std::string>& complaints) {
  auto texts = states_.captures(complaints);
  if (!texts) return fail(std::move(texts));
  std::vector<CaptureRecord> changed;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, text] : *texts) {
      auto record = parse_capture_record(text);
      if (record)
        if (auto order = check_order(record->order); !order) record = fail(std::move(order));
      if (!record || record->name != name) {
        complaints.push_back(fmt::format("the record of capture {}: {}", name,
                                         record ? "another name in it" : record.error().what()));
        continue;
      }
      // Nor is its image durable; the caretaker removes it.
      if (record->boot_id != boot_id_ && record->is_live() && record->is_open() &&
          record->state != CaptureState::kTracking) {
        record->state = CaptureState::kTracking;
        changed.push_back(*record);
      } else if (record->boot_id != boot_id_ && record->domain_kept) {
        record->domain_kept = false;
        if (record->is_open() || record->state == CaptureState::kKept) {
          record->state = CaptureState::kFailed;
          record->error = "the host was booted again, and the domain's memory is lost";
        }
        changed.push_back(*record);
      }
      captures_.insert_or_assign(name, CaptureView{std::move(*record), {}, {}});
    }
  }
  for (const CaptureRecord& record : changed)
    if (auto done = save(record); !done) return done;
  return {};
}

CaptureRecord CaptureBook::begin(const std::string& domain, const std::string& uuid, unsigned domid,
                                 std::uint64_t now_ms) const {
  CaptureRecord record;
  record.domain = domain;
  record.uuid = uuid;
  record.domid = domid;
  record.boot_id = boot_id_;
  record.begun_ms = now_ms;
  const auto earlier = find(uuid, domid);
  record.dump_id =
      earlier && earlier->state == CaptureState::kFailed ? earlier->dump_id : random_dump_id();
  const std::string base = dump_directory_name({domain, now_ms / 1000, record.dump_id});
  record.name = base;
  for (int n = 2; find(record.name); ++n) record.name = fmt::format("{}-{}", base, n);
  return record;
}

std::optional<CaptureRecord> CaptureBook::find(const std::string& uuid, unsigned domid) const {
  const std::lock_guard lock(mutex_);
  const CaptureRecord* newest = nullptr;
  for (const auto& [name, view] : captures_)
    if (view.record.domain_kept && view.record.uuid == uuid && view.record.domid == domid &&
        (newest == nullptr || newest->begun_ms <= view.record.begun_ms))
      newest = &view.record;
  if (newest == nullptr) return {};
  return *newest;
}

std::optional<CaptureRecord> CaptureBook::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = captures_.find(name);
  if (found == captures_.end()) return {};
  return found->second.record;
}

std::vector<CaptureView> CaptureBook::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<CaptureView> all;
  for (const auto& [name, view] : captures_) all.push_back(view);
  std::stable_sort(all.begin(), all.end(), older);
  return all;
}

void CaptureBook::keep(const CaptureRecord& record) {
  const std::lock_guard lock(mutex_);
  captures_[record.name].record = record;
}

Result<> CaptureBook::save(const CaptureRecord& record) {
  keep(record);
  auto done = write_down(record.name);
  forget_oldest();
  return done;
}

void CaptureBook::note(const CaptureRecord& record) {
  keep(record);
  write_late(record.name);
  forget_oldest();
}

void CaptureBook::write_late(const std::string& name) {
  writes_.soon("capture " + name, [this, name] {
    if (auto done = write_down(name); !done) spdlog::error("{}", done.error().what());
  });
}

Result<> CaptureBook::write_down(const std::string& name) {
  const std::lock_guard one_at_a_time(disk_);
  if (const auto record = find(name)) return states_.save_capture(*record);
  states_.forget_capture(name);
  return {};
}

void CaptureBook::show(const std::string& name, const DumpProgress& progress) {
  const std::lock_guard lock(mutex_);
  const auto found = captures_.find(name);
  if (found != captures_.end()) found->second.progress = progress;
}

void CaptureBook::show(const std::string& name, const LiveProgress& progress) {
  const std::lock_guard lock(mutex_);
  const auto found = captures_.find(name);
  if (found != captures_.end()) found->second.tracked = progress;
}

void CaptureBook::passed(std::string_view step) const {
  states_.passed(fmt::format("capture-{}", step));
}

void CaptureBook::show_given_back(const std::string& name, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto found = captures_.find(name);
  if (found != captures_.end()) found->second.record.given_back_bytes = bytes;
}

void CaptureBook::forget(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    captures_.erase(name);
  }
  write_late(name);
}

void CaptureBook::forget_oldest() {
  std::vector<std::string> forgotten;
  {
    const std::lock_guard lock(mutex_);
    std::vector<CaptureView> ended;
    for (const auto& [name, view] : captures_)
      if (!view.record.is_open() && !view.record.domain_kept) ended.push_back(view);
    if (ended.size() <= kMaxEnded) return;
    std::stable_sort(ended.begin(), ended.end(), older);
    ended.resize(ended.size() - kMaxEnded);
    for (const CaptureView& view : ended) {
      forgotten.push_back(view.record.name);
      captures_.erase(view.record.name);
    }
  }
  for (const std::string& name : forgotten) write_late(name);
}

}  // namespace hadump
