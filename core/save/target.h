// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/held_file.h"
#include "core/save/lasting.h"

namespace hadump {

/// Where a save writes.
struct SaveTarget {
  /// One, or several for a striped dump; none for standard output.
  std::vector<HeldFile> files;
  std::optional<HeldFile> log_file;  ///< The kernel log's text; none for standard output.

  bool is_stream() const { return files.empty(); }
};

/// What names a dump's directory.
struct DumpName {
  std::string host;
  std::uint64_t crash_time = 0;  ///< Seconds since 1970; 0 when not known: the id is used.
  std::string dump_id;
};

/// "HOST-YYYYmmddTHHMMSS" in UTC, so that two zones do not give one crash two names; characters
/// that do not belong into a file name become '_'.
std::string dump_directory_name(const DumpName& name);

/// The path of a file that belongs to a dump, such as its kernel log "dmesg.txt".
/// @param to    what the user wrote after --to. @param file  the (first) file of the dump.
/// @return `name` beside a dump that has a directory of its own, FILE-`name` beside any other.
std::string companion_of(const std::string& to, const std::string& file, const std::string& name);

/// What a target must be.
struct TargetRules {
  /// Nobody but root and this process's user can change it, or the way to it (trusted_path.h).
  bool is_trusted = false;
  /// What is written there is there after the next boot (lasting.h).
  bool is_lasting = false;
  const FileSystems* systems = &system_file_systems();  ///< Borrowed.
};

/// Whether a dump may be saved to what the user wrote after --to. Changes nothing.
/// @return kBadData with the reason: a device, a place that breaks the rules, several targets with
///         "-" among them, or a name with a newline.
Result<> check_target(const std::vector<std::string>& to, const TargetRules& rules);

/// Turns what the user wrote after --to into files. An existing directory, or a name that ends in
/// '/', gets a directory for this dump: DIR/HOST-TIME/{vmcore,dmesg.txt}; it is made when missing,
/// mode 0700. The same dump always gets the same names: that is how a later save finds its own
/// work.
/// @return as check_target(), which is asked first; kOs when the directory cannot be made.
Result<SaveTarget> resolve_target(const std::vector<std::string>& to, const DumpName& name,
                                  const TargetRules& rules);

}  // namespace hadump
