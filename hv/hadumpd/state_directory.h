// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "hv/capture/capture_record.h"
#include "hv/hadumpd/disk_reserve.h"
#include "hv/rescue/record_store.h"

namespace hadump {

/// Records as files: one per domain, named by its UUID, and one per capture, by its name.
///
/// Written by rename, without fsync: they must survive our own death, but with the host's the
/// domains are gone as well, and a crashed guest should not wait for dom0's disk. Some room is kept
/// for when the disk is full: for records, and apart from it for rewrites, which are much larger.
///
/// Threads: any, but one at a time for one domain.
class StateDirectory : public RecordStore {
 public:
  /// @param kill_at  for tests: the name of a step after which this process kills itself.
  StateDirectory(const std::string& path, std::string kill_at);

  Result<> save(const DomainRecord& record) override;
  Result<> save_rewrite(const DomainRecord& record, const SnapshotRewrite& rewrite) override;
  Result<SnapshotRewrite> load_rewrite(const DomainRecord& record) override;

  /// Creates the directory where needed. @return every readable record; broken files are named in
  /// `complaints`.
  Result<std::vector<DomainRecord>> load_all(std::vector<std::string>& complaints);
  /// Writes down what a domain is created from again (DomainConfig::blueprint), before the old one
  /// goes.
  Result<> save_successor(const std::string& uuid, const std::string& blueprint);
  /// No error when there is none.
  void forget_successor(const std::string& uuid);
  /// Blueprints by UUID. One that cannot be read is named in `complaints`.
  Result<std::map<std::string, std::string>> successors(std::vector<std::string>& complaints) const;

  /// Writes down how far a capture is.
  Result<> save_capture(const CaptureRecord& record);
  /// For tests: a step that no record tells of.
  void passed(const std::string& step) const;
  /// No error when there is none.
  void forget_capture(const std::string& name);
  /// Records by the captures' names, as they stand. One that cannot be read is named in
  /// `complaints`.
  Result<std::map<std::string, std::string>> captures(std::vector<std::string>& complaints) const;

  /// Forgets a domain. No error when there is no record.
  void forget(const std::string& uuid);

 private:
  Result<> replace_file(const std::string& path, std::span<const std::byte> content,
                        DiskReserve& reserve);
  std::string file(const std::string& name, const char* suffix) const;
  Result<std::map<std::string, std::string>> texts(const char* suffix,
                                                   std::vector<std::string>& complaints) const;
  std::string path_;
  std::string kill_at_;
  DiskReserve record_reserve_;
  DiskReserve rewrite_reserve_;
};

}  // namespace hadump
