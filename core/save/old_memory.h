// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>

#include "core/save/frame_ledger.h"
#include "core/save/save_plan.h"
#include "core/save/watched_memory.h"
#include "core/vmcore/frame_uses.h"

namespace hadump {

/// The memory of a dump, opened to be written: what can still be read, what earlier saves have, and
/// what tells its pages apart. Somebody else may release a part of it meanwhile; what was read
/// counts only after still_valid().
class OldMemory {
 public:
  /// @param context,plan,ledger  borrowed. What the ledger calls released is not read.
  static tl::expected<std::unique_ptr<OldMemory>, SaveFailure> open(const SaveContext& context,
                                                                    const SavePlan& plan,
                                                                    FrameLedger& ledger);

  const VmcoreSource& source() const { return *source_; }
  /// Null when pages cannot be told apart.
  const PageFilter* filter() const { return filter_.get(); }
  /// What the dump is to hold.
  const FrameSet& frames() const { return frames_; }
  /// What the filter reads for the sake of which frames.
  const FrameUses& needed_later() const { return needed_later_; }
  std::uint64_t kept_unknown() const { return kept_unknown_ ? kept_unknown_() : 0; }

  /// Whether all of `read` was held until now, and so was what told it apart. Memory that was not
  /// is unreadable from now on, wherever it is: what was read of it has to be read again.
  /// @return why nobody can tell. @pre called by one thread at a time.
  Result<ReadCheck> still_valid(const FrameSet& read);

 private:
  OldMemory(const SaveContext& context, FrameLedger& ledger) : context_(context), ledger_(ledger) {}
  Result<> look();
  void open_page_filter();
  FrameSet told_apart_by(const FrameSet& frames) const;

  const SaveContext& context_;
  FrameLedger& ledger_;
  FrameSet frames_;
  FrameUses needed_later_;
  FrameSet noticed_;  ///< Taken by others, and known to source and filter.
  std::unique_ptr<WatchedVmcore> source_;
  std::unique_ptr<WatchedFilter> filter_;  // After the source, which it reads.
  std::function<std::uint64_t()> kept_unknown_;
};

}  // namespace hadump
