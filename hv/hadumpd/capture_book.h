// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/save/save.h"
#include "hv/capture/capture_record.h"
#include "hv/capture/live_plan.h"
#include "hv/hadumpd/state_directory.h"

namespace hadump {

/// One capture as `hadump list` shows it.
struct CaptureView {
  CaptureRecord record;
  /// Of this hadumpd's run of it; nothing while it has written nothing.
  std::optional<DumpProgress> progress;
  /// Of a running domain's memory, while it is copied.
  std::optional<LiveProgress> tracked;
};

/// What is known of every capture, in memory and on disk. A job writes its capture's record and
/// progress; the event loop reads them meanwhile.
///
/// Threads: any; but only one at a time changes the record of one capture: its job while it has
/// one, else the event loop.
class CaptureBook {
 public:
  /// @param states  borrowed. @param boot_id  of the host.
  CaptureBook(StateDirectory& states, std::string boot_id)
      : states_(states), boot_id_(std::move(boot_id)) {}

  /// Reads what an agent before us wrote down. Captures of another boot of the host lose their
  /// domain. Broken files are named in `complaints`.
  Result<> load(std::vector<std::string>& complaints);

  /// A new one, which is not kept before it is saved: named after the domain and the time, and with
  /// the dump id of an attempt at the same crash that has failed.
  CaptureRecord begin(const std::string& domain, const std::string& uuid, unsigned domid,
                      std::uint64_t now_ms) const;

  /// The newest capture of this very domain, as it is now.
  std::optional<CaptureRecord> find(const std::string& uuid, unsigned domid) const;
  std::optional<CaptureRecord> find(const std::string& name) const;
  /// Oldest first.
  std::vector<CaptureView> all() const;

  /// In memory it is changed in any case. Of those that have ended, the oldest are forgotten.
  Result<> save(const CaptureRecord& record);
  /// Of one that has ended, whose domain and files are gone. No error when there is none.
  void forget(const std::string& name);
  /// How far it is, in memory only.
  void show(const std::string& name, const DumpProgress& progress);
  void show(const std::string& name, const LiveProgress& progress);
  /// For tests: the capture has reached a step that its record does not tell of.
  void passed(std::string_view step) const;
  void show_given_back(const std::string& name, std::uint64_t bytes);

 private:
  void forget_oldest();

  StateDirectory& states_;
  std::string boot_id_;
  mutable std::mutex mutex_;
  std::map<std::string, CaptureView> captures_;  ///< by name; guarded by mutex_
};

}  // namespace hadump
