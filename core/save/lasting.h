// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/error.h"

namespace hadump {

/// What a save asks about file systems.
///
/// Implementations: system_file_systems(), and the fake of lasting_test.cc.
class FileSystems {
 public:
  virtual ~FileSystems() = default;
  /// The type of the file system that an existing directory is on, as statfs(2) has it.
  virtual Result<std::uint64_t> type(const std::string& directory) const = 0;
  /// The text of /proc/self/mountinfo.
  virtual Result<std::string> mounts() const = 0;
};

const FileSystems& system_file_systems();

/// mountinfo and overlayfs write blanks and the like as "\040".
std::string unescape_mount(std::string_view text);

/// Whether files in a directory are still there after the next boot. In memory they are not, nor in
/// an overlay whose upper directory is in memory (live systems), in a service's private /tmp, which
/// goes with the service, or in /tmp, which systems empty at boot. A network file system is taken
/// at its word.
/// @param directory  exists, without links.
/// @return kBadData with the reason when they are not, or when nobody can tell. kOs when the
///         directory cannot be looked at.
Result<> check_lasting(const std::string& directory, const FileSystems& systems);

}  // namespace hadump
