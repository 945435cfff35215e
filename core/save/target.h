// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace hadump {

/// Where a save writes.
struct SaveTarget {
  std::vector<std::string> files;  ///< One, or several for a striped dump; "-" is standard output.
  std::string log_file;            ///< The kernel log's text; empty for standard output.

  bool is_stream() const { return files.size() == 1 && files[0] == "-"; }
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

/// Turns what the user wrote after --to into files. An existing directory, or a name that ends in
/// '/', gets a directory for this dump: DIR/HOST-TIME/{vmcore,dmesg.txt}; it is made when missing.
/// The same dump always gets the same names: that is how a later save finds its own work.
/// @return kBadData for several targets with "-" among them, or a name with a newline.
Result<SaveTarget> resolve_target(const std::vector<std::string>& to, const DumpName& name);

}  // namespace hadump
