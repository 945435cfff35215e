// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/record_book.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "core/base/printable.h"

namespace hadump {

Result<> RecordBook::load(std::vector<std::string>& complaints) {
  auto records = states_.load_all(complaints);
  if (!records) return fail(std::move(records));
  const std::lock_guard lock(mutex_);
  for (DomainRecord& record : *records) {
    if (of_another_boot(record)) {
      if (record.has_snapshot())
        complaints.push_back(
            fmt::format("{}: the host was booted again, and the dump that waited in it is lost",
                        printable(record.name)));
      states_.forget(record.uuid);
      continue;
    }
    records_.insert_or_assign(record.uuid, std::move(record));
  }
  return {};
}

std::optional<DomainRecord> RecordBook::find(const std::string& uuid) const {
  const std::lock_guard lock(mutex_);
  const auto found = records_.find(uuid);
  if (found == records_.end()) return {};
  return found->second;
}

std::vector<DomainRecord> RecordBook::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<DomainRecord> all;
  for (const auto& [uuid, record] : records_) all.push_back(record);
  return all;
}

void RecordBook::forget(const std::string& uuid) {
  {
    const std::lock_guard lock(mutex_);
    records_.erase(uuid);
  }
  write_late(uuid);
}

void RecordBook::keep(const DomainRecord& record) {
  const std::lock_guard lock(mutex_);
  records_.insert_or_assign(record.uuid, of_this_boot(record));
}

void RecordBook::note(const DomainRecord& record) {
  keep(record);
  write_late(record.uuid);
}

void RecordBook::write_late(const std::string& uuid) {
  writes_.soon("domain " + uuid, [this, uuid] {
    if (auto done = write_down(uuid); !done) spdlog::error("{}", done.error().what());
  });
}

Result<> RecordBook::write_down(const std::string& uuid) {
  const std::lock_guard one_at_a_time(disk_);
  if (const auto record = find(uuid)) return states_.save(*record);
  states_.forget(uuid);
  return {};
}

Result<> RecordBook::save(const DomainRecord& record) {
  keep(record);
  return write_down(record.uuid);
}

}  // namespace hadump
