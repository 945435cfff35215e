// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/dump/dump_writer.h"
#include "core/save/adopting_sink.h"
#include "core/save/dump_contents.h"
#include "core/save/earlier_save.h"
#include "core/save/save_registry.h"
#include "core/save/saver.h"
#include "core/save/target.h"
#include "userspace/release_region/command_save.h"

namespace hadump {

/// What came of a save.
struct SaveOutcome {
  DumpSummary summary;
  std::uint64_t bytes_released = 0;
  bool released_now = false;          ///< The dump was whole already; only memory was given back.
  std::uint64_t kept_unknown = 0;     ///< Frames kept although nothing says what they are for.
  std::uint64_t bytes_kept_lost = 0;  ///< Still held because they could not be read.
  bool all_back = false;              ///< Nothing is held any more, the save area included.
};

/// One run of `release-region save`, from the look at what there is to the last released block.
class SaveSession {
 public:
  SaveSession(const SaveOptions& options, const SaveSeams& seams, Streams io);

  Result<SaveOutcome> run();

  /// Where the partial dump is, for the message after a failure; empty when there is none.
  const std::vector<std::string>& partial_files() const { return partial_files_; }
  const SaveTarget& target() const { return target_; }
  /// The save was refused because memory released earlier is in no save that was found.
  bool lacks_earlier() const { return lacks_earlier_; }

 private:
  Result<> look_around();
  Result<> find_earlier();
  void find_registered();
  Result<> check_released(const VmcoreLayout& now);
  Result<std::unique_ptr<VmcoreSource>> open_source();
  void save_kernel_log(const VmcoreSource& source);
  OpenedFilter open_page_filter(const VmcoreSource& source);
  Result<SaveOutcome> save_all();
  Result<SaveOutcome> save_from(const VmcoreSource& source, const PageFilter* filter,
                                const FrameUses& needed_later);
  Result<SaveOutcome> write_dump(const VmcoreSource& source, const PageFilter* filter,
                                 const FrameUses& needed_later, bool adopt);
  Result<std::vector<std::unique_ptr<DumpSink>>> open_sinks(bool adopt);
  Result<> pass_adopted(DumpWriter& writer);
  Result<> start_journal(bool adopt);
  SaverOptions saver_options(bool adopt) const;
  Result<> release_all(SaveOutcome& outcome, const FrameSet& unsafe);
  Result<> remove_journals(const SaveOutcome& outcome);
  bool can_adopt() const;
  bool may_release() const;
  bool keeps_journal() const;
  DumpOptions dump_options();
  std::string settings() const;
  void show(const DumpProgress& dump);

  const SaveOptions& options_;
  const SaveSeams& seams_;
  SaveRegistry registry_;
  std::string dump_id_;
  SaveTarget target_;
  RegionTable regions_;
  FrameSet released_;                 ///< Or asked to be: no longer what it was at the crash.
  FrameSet gone_;                     ///< What of it no earlier save has.
  FrameSet frames_;                   ///< What the dump is to hold.
  std::vector<EarlierSave> earlier_;  ///< Newest first; the first may be the target's own.
  bool own_journal_ = false;          ///< earlier_[0] is of this very target.
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<BlockReleaser> blocks_;
  std::vector<AdoptingSink*> adopting_;  ///< Owned by the writer.
  std::vector<std::string> partial_files_;
  bool lacks_earlier_ = false;
  std::function<std::uint64_t()> kept_unknown_;  ///< Of the filter, while there is one.
  ProgressReporter progress_;
};

}  // namespace hadump
