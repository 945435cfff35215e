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
#include "hv/hadumpd/late_writes.h"
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
  /// @param states  borrowed, as `writes`. @param boot_id  of the host.
  CaptureBook(StateDirectory& states, LateWrites& writes, std::string boot_id)
      : states_(states), writes_(writes), boot_id_(std::move(boot_id)) {}
  /// Waits for the late writes.
  ~CaptureBook() { writes_.settle(); }
  CaptureBook(const CaptureBook&) = delete;
  CaptureBook& operator=(const CaptureBook&) = delete;

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

  /// In memory it is changed in any case. Of those that have ended, the oldest are forgotten. Waits
  /// for the disk.
  Result<> save(const CaptureRecord& record);
  /// The same, but the disk follows late: for the event loop. A job that relies on it begins with
  /// write_down().
  void note(const CaptureRecord& record);
  /// Waits until what is known of a capture is on disk; also that nothing is.
  Result<> write_down(const std::string& name);
  /// Of one that has ended, whose domain and files are gone. No error when there is none. The file
  /// goes late.
  void forget(const std::string& name);
  /// How far it is, in memory only.
  void show(const std::string& name, const DumpProgress& progress);
  void show(const std::string& name, const LiveProgress& progress);
  /// For tests: the capture has reached a step that its record does not tell of.
  void passed(std::string_view step) const;
  void show_given_back(const std::string& name, std::uint64_t bytes);

 private:
  void keep(const CaptureRecord& record);
  void write_late(const std::string& name);
  void forget_oldest();

  StateDirectory& states_;
  LateWrites& writes_;
  std::string boot_id_;
  std::mutex disk_;  ///< taken before mutex_; one file at a time is written
  mutable std::mutex mutex_;
  std::map<std::string, CaptureView> captures_;  ///< by name; guarded by mutex_
};

}  // namespace hadump
