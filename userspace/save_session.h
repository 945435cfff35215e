#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/dump/dump_writer.h"
#include "userspace/adopting_sink.h"
#include "userspace/command_save.h"
#include "userspace/earlier_save.h"
#include "userspace/engine.h"
#include "userspace/saver.h"
#include "userspace/target.h"

namespace hadump {

/// What came of a save.
struct SaveOutcome {
  DumpSummary summary;
  std::uint64_t bytes_released = 0;
  bool released_now = false;  ///< The dump was whole already; only memory was given back.
  bool all_back = false;      ///< Nothing is held any more, the save area included.
};

/// One run of `release-region save`, from the look at what there is to the last released block.
class SaveSession {
 public:
  SaveSession(const SaveOptions& options, const SaveSeams& seams, Streams io);

  Result<SaveOutcome> run();

  /// Where the partial dump is, for the message after a failure; empty when there is none.
  const std::vector<std::string>& partial_files() const { return partial_files_; }
  const SaveTarget& target() const { return target_; }

 private:
  Result<> look_around();
  Result<std::unique_ptr<VmcoreSource>> open_source();
  void save_kernel_log(const VmcoreSource& source);
  Result<SaveOutcome> save_all();
  Result<SaveOutcome> save_from(const VmcoreSource& source, const PageFilter* filter,
                                const FrameSet& needed_later);
  Result<SaveOutcome> write_dump(const VmcoreSource& source, const PageFilter* filter,
                                 const FrameSet& needed_later, bool adopt);
  Result<std::vector<std::unique_ptr<DumpSink>>> open_sinks(bool adopt);
  Result<> pass_adopted(DumpWriter& writer);
  Result<> start_journal(bool adopt);
  Result<> release_all(SaveOutcome& outcome, const FrameSet& unsafe);
  Result<> remove_journals(const SaveOutcome& outcome);
  bool can_adopt() const;
  bool may_release() const;
  bool keeps_journal() const;
  DumpOptions dump_options();
  std::string settings() const;
  void show(const DumpProgress& dump, std::string_view phase);

  const SaveOptions& options_;
  const SaveSeams& seams_;
  std::string dump_id_;
  SaveTarget target_;
  RegionTable regions_;
  FrameSet frames_;                   ///< What the dump is to hold.
  std::vector<EarlierSave> earlier_;  ///< Newest first; the first may be the target's own.
  bool own_journal_ = false;          ///< earlier_[0] is of this very target.
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<BlockReleaser> blocks_;
  std::vector<AdoptingSink*> adopting_;  ///< Owned by the writer.
  std::vector<std::string> partial_files_;
  ProgressReporter progress_;
};

}  // namespace hadump
