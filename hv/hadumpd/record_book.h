// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hv/hadumpd/late_writes.h"
#include "hv/hadumpd/state_directory.h"

namespace hadump {

/// What is known of every domain, in memory and on disk. A job writes its domain's record step by
/// step; the event loop reads it meanwhile. Whoever writes a record down writes what is known then,
/// so that a late write cannot undo a newer one.
///
/// Threads: any; but only one at a time changes the record of one domain: its job while it has one,
/// else the event loop.
class RecordBook : public RecordStore {
 public:
  /// @param states  borrowed, as `writes`. @param boot_id  of the host; empty: unknown.
  RecordBook(StateDirectory& states, LateWrites& writes, std::string boot_id)
      : states_(states), writes_(writes), boot_id_(std::move(boot_id)) {}
  /// Waits for the late writes.
  ~RecordBook() override { writes_.settle(); }
  RecordBook(const RecordBook&) = delete;
  RecordBook& operator=(const RecordBook&) = delete;

  /// Reads what an agent before us wrote down. Broken files, and dumps that were lost because the
  /// host was booted again, are named in `complaints`. Records of another boot are forgotten: a
  /// domain of the same UUID and domid is not the one that they are about.
  Result<> load(std::vector<std::string>& complaints);

  /// A copy, as of now.
  std::optional<DomainRecord> find(const std::string& uuid) const;
  std::vector<DomainRecord> all() const;
  /// The file goes late.
  void forget(const std::string& uuid);
  /// Changes it in memory only: for what the next step's save writes down as well.
  void keep(const DomainRecord& record);
  /// Changes it in memory, and late on disk: for the event loop. A job that relies on it begins
  /// with write_down().
  void note(const DomainRecord& record);
  /// Waits until what is known of a domain is on disk; also that nothing is.
  Result<> write_down(const std::string& uuid);

  /// In memory it is changed in any case. Waits for the disk.
  Result<> save(const DomainRecord& record) override;
  Result<> save_rewrite(const DomainRecord& record, const SnapshotRewrite& rewrite) override {
    return states_.save_rewrite(record, rewrite);
  }
  Result<SnapshotRewrite> load_rewrite(const DomainRecord& record) override {
    return states_.load_rewrite(record);
  }

 private:
  void write_late(const std::string& uuid);
  DomainRecord of_this_boot(DomainRecord record) const {
    record.boot_id = boot_id_;
    return record;
  }
  bool of_another_boot(const DomainRecord& record) const {
    return !boot_id_.empty() && !record.boot_id.empty() && record.boot_id != boot_id_;
  }

  StateDirectory& states_;
  LateWrites& writes_;
  std::string boot_id_;
  std::mutex disk_;  ///< taken before mutex_; one file at a time is written
  mutable std::mutex mutex_;
  std::map<std::string, DomainRecord> records_;  ///< by UUID; guarded by mutex_
};

}  // namespace hadump
