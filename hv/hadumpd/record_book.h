// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "hv/hadumpd/state_directory.h"

namespace hadump {

/// What is known of every domain, in memory and on disk. A job writes its domain's record step by
/// step; the event loop reads it meanwhile.
///
/// Threads: any; but only one at a time changes the record of one domain: its job while it has one,
/// else the event loop.
class RecordBook : public RecordStore {
 public:
  /// @param states  borrowed.
  explicit RecordBook(StateDirectory& states) : states_(states) {}

  /// Reads what an agent before us wrote down. Broken files are named in `complaints`.
  Result<> load(std::vector<std::string>& complaints);

  /// A copy, as of now.
  std::optional<DomainRecord> find(const std::string& uuid) const;
  std::vector<DomainRecord> all() const;
  void forget(const std::string& uuid);
  /// Changes it in memory only: for what the next step's save writes down as well.
  void keep(const DomainRecord& record);

  /// In memory it is changed in any case.
  Result<> save(const DomainRecord& record) override;
  Result<> save_rewrite(const DomainRecord& record, const SnapshotRewrite& rewrite) override {
    return states_.save_rewrite(record, rewrite);
  }
  Result<SnapshotRewrite> load_rewrite(const DomainRecord& record) override {
    return states_.load_rewrite(record);
  }

 private:
  StateDirectory& states_;
  mutable std::mutex mutex_;
  std::map<std::string, DomainRecord> records_;  ///< by UUID; guarded by mutex_
};

}  // namespace hadump
