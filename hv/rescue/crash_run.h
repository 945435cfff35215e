// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "hv/domain/domain.h"
#include "hv/domain/domain_config.h"
#include "hv/domain/guest_memory.h"
#include "hv/rescue/acpi_tables.h"
#include "hv/rescue/boot_image.h"
#include "hv/rescue/kernel_image.h"
#include "hv/rescue/record_store.h"
#include "hv/rescue/registration.h"
#include "hv/rescue/snapshot.h"
#include "hv/rescue/step_times.h"
#include "hv/rescue/window_cmdline.h"

namespace hadump {

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
  std::uint64_t least_window_bytes = 0;  ///< for a host that has no room for that; 0: none less
  /// A dump that waits moves to a save area for such a window before its guest is booted again; 0:
  /// it stays where it is.
  std::uint64_t larger_window_bytes = 0;
  /// The next boot of a dump that waits is a rescue boot, and so are those after it.
  bool rescue_boot = false;
  SaveMode mode = SaveMode::kAdded;
  std::chrono::milliseconds backend_deadline{10000};
  std::uint64_t keep_free_bytes = 0;  ///< of the host's memory, whatever is added to the domain
  bool may_add_save_area = true;      ///< false: the host has as many as it may have
  /// Of save areas, both of them while a dump moves.
  std::uint64_t most_added_bytes = std::numeric_limits<std::uint64_t>::max();
  CmdlinePolicy cmdline{};  ///< in the window
};

/// Takes one crashed domain through snapshot, reset and boot (design: the life of one crash, steps
/// 3 to 5), or finishes what an agent before us began.
///
/// Until the snapshot is complete and verified, the guest is not changed, and a failure leaves the
/// domain as it was found. After that, a failure leaves it paused with its snapshot; run() can be
/// called again.
///
/// The same holds for a dump that is to move to a larger save area: until all of it is there and
/// verified, nothing but that area is written, and a failure leaves the domain as it was found.
class CrashRun {
 public:
  CrashRun(CrashWorld world, CrashPolicy policy, DomainConfig config)
      : world_(std::move(world)),
        policy_(std::move(policy)),
        config_(std::move(config)),
        times_(world_.monotonic, world_.reached) {}

  /// @param record  of this domain; on return, what is true now. Also written to the record store.
  Result<> run(DomainRecord& record);

 private:
  /// What the guest will boot from, checked.
  struct Files {
    KernelImage kernel;
    std::span<const std::byte> ramdisk;
    AcpiTables acpi;
    GuestPhys rsdp;
  };
  /// What was seen of the crashed guest.
  struct Findings {
    SnapshotInput input;
    Registration registration;
    bool registered = false;  ///< the guest has the module, whatever it claims
  };
  /// A snapshot that was made just now, as against one that an agent before us has made.
  struct Fresh {
    std::vector<FrameMapping> mapped;  ///< to be dropped when the guest runs
    bool low_is_verified = false;
  };
  struct Boot {
    SavedSnapshot saved;
    std::vector<MapEntry> map;
    BootImage image;
  };

  Result<> run_steps(DomainRecord& record, const FrameSet& ram);
  Result<Files> prepare_files();
  Result<> end_dump_that_is_over(DomainRecord& record, const FrameSet& ram);

  // The snapshot of a crash (crash_snapshot.cc).
  Result<Fresh> take_snapshot(DomainRecord& record, const FrameSet& ram);
  void fit_window(const FrameSet& ram);
  Result<Findings> inspect(const FrameSet& ram);
  Result<std::vector<std::byte>> vmcoreinfo_of(const FrameSet& frames,
                                               const Registration& registration);
  Result<> place_save_area(DomainRecord& record, const FrameSet& ram, Findings& findings,
                           const SaveLayout& layout);
  Result<> make_room_to_save(DomainRecord& record, std::uint64_t bytes);
  Result<> raise_limit(DomainRecord& record, std::uint64_t now_kib, std::uint64_t wanted_kib);
  void undo(DomainRecord& record);

  // A dump that is there already.
  Result<> continue_snapshot(DomainRecord& record, const FrameSet& ram, const AcpiTables& acpi);
  void count_boot(DomainRecord& record) const;
  Result<> plan_second_boot(const DomainRecord& record, const FrameSet& ram,
                            const AcpiTables& acpi);
  Result<SavedSnapshot> read_saved(const DomainRecord& record, const FrameSet& ram,
                                   bool check_low) const;

  // A dump that waits moves to a larger save area (larger_window.cc).
  Result<> enlarge(DomainRecord& record, const FrameSet& ram, const AcpiTables& acpi);
  Result<SnapshotInput> plan_larger(const DomainRecord& record, const FrameSet& ram) const;
  Result<> add_larger_area(DomainRecord& record, FrameRange area, std::uint64_t bytes);
  Result<> check_moved(const DomainRecord& moved, const FrameSet& ram,
                       const AcpiTables& acpi) const;
  Result<> drop_other_area(DomainRecord& record);

  // From a complete snapshot to a running guest (crash_boot.cc).
  Result<> boot(DomainRecord& record, const FrameSet& ram, const Files& files,
                bool low_is_verified);
  Result<Boot> plan(const DomainRecord& record, const FrameSet& ram, const Files& files,
                    bool low_is_verified);
  Result<> finish_replaced(DomainRecord& record, const FrameSet& ram);
  Result<> withdraw_grants(DomainRecord& record, const FrameSet& ram, const Boot& boot);
  Result<> replace_held(DomainRecord& record, const FrameSet& first, const FrameSet& others,
                        Gfn spare);
  Result<> reset_and_load(DomainRecord& record, const FrameSet& ram, const Boot& boot,
                          const Files& files);
  Result<> reconnect(DomainRecord& record);
  Result<> start(DomainRecord& record, const Boot& boot, const Files& files);
  Result<> fill_memory(DomainRecord& record, const SavedSnapshot& saved);
  Result<> for_each_missing(const SavedSnapshot& saved,
                            const std::function<Result<>(const FrameSet&)>& work) const;
  Result<> keep_limit(DomainRecord& record);
  Result<> make_room(DomainRecord& record, std::uint64_t frames);
  Result<> keep_balloon_still(DomainRecord& record);
  Result<> reached(DomainRecord& record, Step step, const char* timing);

  CrashWorld world_;
  CrashPolicy policy_;
  DomainConfig config_;
  StepTimes times_;
  std::uint64_t replaced_frames_ = 0;  ///< at most so many old ones still count as the domain's
};

}  // namespace hadump
