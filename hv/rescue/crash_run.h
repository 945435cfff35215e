// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "hv/domain/domain.h"
#include "hv/domain/domain_config.h"
#include "hv/domain/guest_memory.h"
#include "hv/rescue/acpi_tables.h"
#include "hv/rescue/kernel_image.h"
#include "hv/rescue/record.h"
#include "hv/rescue/registration.h"
#include "hv/rescue/snapshot.h"
#include "hv/rescue/step_times.h"

namespace hadump {

/// Where a record is written down. What has been written survives the agent's death.
///
/// Implementations: StateDirectory (hv/hadumpd), InMemoryRecordStore (tests/fakes).
class RecordStore {
 public:
  virtual ~RecordStore() = default;
  virtual Result<> save(const DomainRecord& record) = 0;
  virtual Result<> save_rewrite(const DomainRecord& record, const SnapshotRewrite& rewrite) = 0;
  virtual Result<SnapshotRewrite> load_rewrite(const DomainRecord& record) = 0;
};

/// Kernel, initrd and ACPI tables, ready to be put into the guest. Slow to come by, so they are
/// prepared before a crash; this waits for them.
///
/// Implementations: BootFileCache (hv/hadumpd), InMemoryBootFiles (tests/fakes).
class BootFiles {
 public:
  virtual ~BootFiles() = default;
  /// An uncompressed ELF kernel. The span lives as long as this object.
  virtual Result<std::span<const std::byte>> kernel() = 0;
  /// Empty when the domain has none. The span lives as long as this object.
  virtual Result<std::span<const std::byte>> ramdisk() = 0;
  /// Checked.
  virtual Result<AcpiTables> acpi_tables() = 0;
};

/// The world of one crash run. Everything is borrowed.
struct CrashWorld {
  Domain& domain;
  GuestMemory& memory;
  GuestLinks& links;
  GuestStore& store;
  BootFiles& files;
  RecordStore& records;
  std::function<std::chrono::nanoseconds()> monotonic;
  std::function<std::uint64_t()> wall_ms;  ///< milliseconds since 1970
  std::function<DumpId()> new_dump_id;
  std::function<void(const std::string&)> warn;  ///< one sentence that the admin should see
  std::function<void(const std::string& step)> reached{};  ///< told of each step; may be empty
};

struct CrashPolicy {
  std::uint64_t window_bytes = 256ULL << 20;
  SaveMode mode = SaveMode::kAdded;
  std::chrono::milliseconds backend_deadline{10000};
  std::uint64_t keep_free_bytes = 0;  ///< of the host's memory, whatever is added to the domain
  bool may_add_save_area = true;      ///< false: the host has as many as it may have
};

/// Takes one crashed domain through snapshot, reset and boot (design: the life of one crash, steps
/// 3 to 5), or finishes what an agent before us began.
///
/// Until the snapshot is complete and verified, the guest is not changed, and a failure leaves the
/// domain as it was found. After that, a failure leaves it paused with its snapshot; run() can be
/// called again.
class CrashRun {
 public:
  CrashRun(CrashWorld world, CrashPolicy policy, DomainConfig config)
      : world_(std::move(world)),
        policy_(policy),
        config_(std::move(config)),
        times_(world_.monotonic, world_.reached) {}

  /// @param record  of this domain; on return, what is true now. Also written to the record store.
  Result<> run(DomainRecord& record);

 private:
  Result<> run_steps(DomainRecord& record);
  Result<> take_snapshot(DomainRecord& record);
  Result<SnapshotInput> inspect();
  Result<> find_vmcoreinfo_for(SnapshotInput& input, const Registration* registration);
  Result<> place_save_area(DomainRecord& record, SnapshotInput& input, const SaveLayout& layout,
                           FrameRange registered);
  Result<> raise_limit(DomainRecord& record, std::uint64_t bytes);
  Result<> end_dump_that_is_over(DomainRecord& record);
  Result<> plan_second_boot(const DomainRecord& record);
  Result<SavedSnapshot> read_saved(const DomainRecord& record, bool check_low) const;
  Result<> check_is_ours(const DomainRecord& record, const SavedSnapshot& saved) const;
  Result<> continue_snapshot(DomainRecord& record);
  Result<> boot(DomainRecord& record);
  Result<std::vector<MapEntry>> memory_map_of(const DumpNode& node) const;
  Result<> prepare_files();
  Result<> fill_memory(DomainRecord& record, const SavedSnapshot& saved);
  Result<> for_each_missing(const SavedSnapshot& saved,
                            const std::function<Result<>(const FrameSet&)>& work) const;
  Result<> make_room(DomainRecord& record, std::uint64_t frames);
  Result<> keep_balloon_still(DomainRecord& record);
  Result<> reached(DomainRecord& record, Step step, const char* timing);
  void undo(DomainRecord& record);

  CrashWorld world_;
  CrashPolicy policy_;
  DomainConfig config_;
  StepTimes times_;
  FrameSet ram_;
  Registration registration_;
  KernelImage kernel_;
  std::span<const std::byte> ramdisk_;
  AcpiTables acpi_;
  GuestPhys rsdp_;
  std::vector<FrameMapping> mapped_;  ///< to be dropped when the guest runs
  bool low_is_verified_ = false;      ///< by us, just now
};

/// Notices that an agent before us has started the domain, and died before it could write that
/// down: what stops it from then on, is a crash in the dump that waits.
/// @return whether `record`, which is to be saved then, has changed.
bool notice_start(DomainRecord& record, const DomainStatus& status, std::uint64_t now_ms);

/// Whether a running guest is done with the dump that `record` says waits in it. In registered mode
/// it says "done" for a second only and then registers again; that counts when the mark of the
/// snapshot is gone, since a module that has not found its dump registers, too.
bool dump_is_over(const GuestMemory& memory, const DomainRecord& record,
                  const GuestProgress& progress);

/// Takes added memory out of the domain and gives the guest its balloon target back: for when the
/// guest says that its dump is done. Can be repeated.
/// @return how many KiB the domain still has beyond its limit: none, unless the guest has moved
///         memory that was added for the dump to another place. It is worth a line in the log.
Result<std::uint64_t> finish_dump(Domain& domain, GuestMemory& memory, GuestStore& store,
                                  RecordStore& records, DomainRecord& record, std::uint64_t now_ms);

/// The line for the log when finish_dump() says that there is something.
std::string memory_kept_text(std::uint64_t kib);

}  // namespace hadump
