// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>

#include "core/base/held_file.h"
#include "core/dump/sink.h"

namespace hadump {

struct FileSinkOptions {
  /// Try O_DIRECT with io_uring; where the file system or the kernel does not offer them, ordinary
  /// writes are used.
  bool direct = true;
  /// A file that has the name already is replaced, by publish(); until then it stays.
  bool replaces = false;
};

/// A dump in a file. While it is written, and for good when it is never completed, its name is
/// PATH-incomplete (PATH-incomplete.1, … when that exists: it may hold memory that was released
/// since, so it is never overwritten). O_TMPFILE would be tidier, but a killed save would then take
/// memory with it that is already released. Mode 0600.
///
/// At most kMaxDirtyBytes of what was written are in the page cache and not yet on their way to
/// the disk, so that a small machine does not run out of memory by its own dump.
///
/// While it is open it is locked (lock_for_writing()).
///
/// @return kOs with EEXIST when PATH exists already and is not to be replaced, or what open(2)
/// said.
Result<std::unique_ptr<DumpSink>> open_file_sink(const HeldFile& file,
                                                 const FileSinkOptions& options = {});
Result<std::unique_ptr<DumpSink>> open_file_sink(const std::string& path,
                                                 const FileSinkOptions& options = {});

/// Goes on with a file that an earlier sink left behind: nothing of it is cut off or overwritten by
/// opening it.
/// @param partial  its temporary name; what publish() renames to that of `file`.
/// @return kOs with EEXIST when `file` exists already, or what open(2) said; kBusy when another
/// sink
///         has the file, in whatever process; kBadData when others can change it.
Result<std::unique_ptr<DumpSink>> reopen_file_sink(const std::string& partial, const HeldFile& file,
                                                   const FileSinkOptions& options = {});

inline constexpr std::uint64_t kMaxDirtyBytes = 32U << 20;

}  // namespace hadump
