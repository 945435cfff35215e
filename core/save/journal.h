// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/held_file.h"
#include "core/base/unique_handle.h"
#include "core/dump/dump_writer.h"

namespace hadump {

/// What one save has made durable, kept next to its file so that a save after a second crash, a
/// full disk or a kill knows which memory that file is the only copy of.
struct JournalContent {
  std::string dump_id;   ///< Of the waiting dump: 32 hex digits.
  std::string settings;  ///< Format, codec and level, as the same words give the same file.
  std::vector<std::string> files;   ///< Where the dump is being written, one per target.
  std::vector<std::string> finals;  ///< What each of `files` will be called when it is whole.
  FrameSet frames;                  ///< Everything that the dump is to hold.
  FrameSet durable;                 ///< What of it is safe in `files`, left-out pages included.
  FrameSet lost;                    ///< What of it could not be read.
  /// The same as `durable`, by the level that was in force, in the order of writing: to continue in
  /// place, the same pages have to be left out again.
  std::vector<LevelStep> steps;
  /// Journals of earlier saves of this dump whose files hold what this one has not got yet.
  std::vector<std::string> with;
  bool published = false;  ///< The dump is whole and has its final name (`finals`).

  bool operator==(const JournalContent&) const = default;
};

/// What the saver notes before it gives memory back.
class DurableRecord {
 public:
  virtual ~DurableRecord() = default;
  /// When this returns Ok, a later save will know that these frames are safe.
  /// @param level  that they were written at.
  virtual Result<> add_durable(const FrameSet& frames, const FrameSet& lost, unsigned level) = 0;
};

/// The journal's file. Lines of text, only ever appended, each batch followed by fsync: whatever
/// a crash tears off is the newest part, and its frames have not been released yet. It is locked
/// (lock_for_writing()) as long as this object lives, so that nobody takes a save for an
/// interrupted one that is at it.
class Journal : public DurableRecord {
 public:
  /// Starts a journal. An older one of the name is replaced, but kBusy when that is in use.
  /// @pre no file name has a newline.
  static Result<Journal> create(const HeldFile& file, const JournalContent& start);
  /// Goes on with the journal, of which `content` is what read_journal() said. kBusy as above.
  static Result<Journal> reopen(const HeldFile& file, const JournalContent& content);

  Result<> add_durable(const FrameSet& frames, const FrameSet& lost, unsigned level) override;
  /// The dump has its final names. From now on its whole memory may be released.
  Result<> set_published();
  /// The dump is done: nothing is held any more.
  Result<> remove();

  const std::string& path() const { return file_.path(); }

 private:
  Journal(HeldFile file, UniqueFd fd) : file_(std::move(file)), fd_(std::move(fd)) {}
  Result<> append(const std::string& lines);

  HeldFile file_;
  UniqueFd fd_;
};

/// @return kNotFound; kBadData when the head is damaged, or when others can change the file. A
///         damaged tail is left out.
Result<JournalContent> read_journal(const HeldFile& file);

/// Whether a save is at it now, in whatever process. @return kBusy then; Ok also without a journal.
Result<> check_nobody_saves(const HeldFile& journal);

/// "DIR/.NAME.hadump-journal" for the target "DIR/NAME".
std::string journal_path(const std::string& target);
HeldFile journal_beside(const HeldFile& target);

}  // namespace hadump
