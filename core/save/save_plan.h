// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/save/earlier_save.h"
#include "core/save/save.h"
#include "core/save/target.h"

namespace hadump {

/// What every step of a save is given. Borrowed.
struct SaveContext {
  const SaveOptions& options;
  const SaveSeams& seams;
  SaveReporter& reporter;
};

/// What there is, where it goes, and what earlier saves have left: constant once it is made.
struct SavePlan {
  std::string dump_id;
  /// Format, codec and levels, as the same words give the same file.
  std::string settings;
  SaveTarget target;
  RegionTable regions;
  std::vector<EarlierSave> earlier;  ///< Newest first; the first may be the target's own.
  bool own_journal = false;          ///< earlier[0] is of this very target.
  bool may_release = false;
  bool keeps_journal = false;

  /// The save of this very target; null when there is none.
  const EarlierSave* own() const { return own_journal ? &earlier.front() : nullptr; }
  bool is_published() const { return own_journal && earlier.front().content.published; }
};

/// What the target of this save must be.
TargetRules target_rules(const SaveOptions& options, const SaveSeams& seams);

/// Where this save writes: see resolve_target().
Result<SaveTarget> find_target(const SaveContext& context);

/// @return the errors of reading what is held, of the target's own journal, and of those that the
///         user names; kBusy when a save is at one of these now; EEXIST when a file of the target's
///         name is there that this dump is not in.
Result<SavePlan> plan_save(const SaveContext& context, SaveTarget target);

/// The memory to write.
struct PlannedMemory {
  std::unique_ptr<VmcoreSource> source;  ///< Merged with what earlier saves have.
  FrameSet frames;                       ///< What the dump is to hold.
};

/// What was released before and is in no earlier save.
/// @param released  before this save.
/// @param now       of what can still be read.
FrameSet find_gone(const SavePlan& plan, const FrameSet& released, const VmcoreLayout& now);

/// Puts what can still be read together with what earlier saves have.
/// @param current   what can still be read, and what was released, which must not be read from it.
/// @param released  before this save.
/// @param gone      that nobody has: the dump records it as lost.
Result<PlannedMemory> merge_memory(const SavePlan& plan, std::unique_ptr<VmcoreSource> current,
                                   const FrameSet& released, const FrameSet& gone);

}  // namespace hadump
