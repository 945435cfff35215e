// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/held_file.h"
#include "core/save/journal.h"
#include "core/save/merged_vmcore.h"

namespace hadump {

/// A save of the waiting dump that did not end, and its files.
struct EarlierSave {
  HeldFile journal;
  JournalContent content;
  /// `content.files` and `content.finals`. Empty when a directory of theirs is not there.
  std::vector<HeldFile> files, finals;
};

/// Makes the names in a journal those of the files beside it, wherever its directory was when it
/// was written. Stripes in other directories keep theirs.
/// @return kBadData for a journal of another name than its dump's, for files that are not called
///         after what they become, and for stripes in a directory that others can change.
Result<EarlierSave> bind_names(const HeldFile& journal, JournalContent content);

/// Completes what a crash in the middle of publishing left: files that have their final name
/// already are known by it when all have, and get their temporary name back when only some have.
/// Sets `content.published`, and the files to where they are.
/// A file that others could have put there counts as none.
/// @return kBadData for a complete dump of which not all is durable.
Result<> settle_names(EarlierSave& save);

/// Reads a journal and those it builds on, newest first; those that are not there are left out, so
/// that it may be empty.
/// @return kBadData for a journal of another dump (its file must not be touched), a damaged
///         one, one that others can change, or a chain that is too long or goes round; kBusy when a
///         save is at one of them now, before anything is changed.
Result<std::vector<EarlierSave>> read_earlier_saves(const HeldFile& journal,
                                                    const std::string& dump_id);
Result<std::vector<EarlierSave>> read_earlier_saves(const std::string& path,
                                                    const std::string& dump_id);

/// The same of a save that another process may be making now: changes nothing, and takes each file
/// by the name that it has.
Result<std::vector<EarlierSave>> look_at_saves(const HeldFile& journal, const std::string& dump_id);

/// Appends those of `more` that `saves` does not have yet.
void add_earlier_saves(std::vector<EarlierSave>& saves, const std::vector<EarlierSave>& more);

/// Whether the files that the save was written to are where its journal says, and are files that
/// only we can have put there. @return kNotFound, kOs; kBadData for what others can change.
Result<> check_its_files(const EarlierSave& save);

/// The journal that belongs to what a user calls "the incomplete dump": the target's name, that
/// name with "-incomplete" or "-incomplete.N", or the journal itself.
std::string journal_of(const std::string& named);

/// The whole dump again: what the system still holds, and from the earlier saves' files the rest.
/// @param held  what `current` can still be read for.
/// @param gone  what nobody has any more: it reads as unreadable.
/// @return the errors of opening the earlier files; without them the dump would have gaps, so the
///         caller must not go on as if nothing were missing.
Result<std::unique_ptr<VmcoreSource>> merge_with_earlier(std::unique_ptr<VmcoreSource> current,
                                                         FrameSet held,
                                                         const std::vector<EarlierSave>& earlier,
                                                         const FrameSet& gone);

}  // namespace hadump
