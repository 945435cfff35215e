// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/error.h"
#include "core/save/disk_facts.h"

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
  /// The number in mountinfo of the mount that a directory is on. kUnsupported when not known.
  virtual Result<std::uint64_t> mount_id(const std::string& /*directory*/) const {
    return fail(ErrorCode::kUnsupported, "mounts are told apart by name");
  }
  /// See read_disk_facts(): unless an implementation knows more, a disk that is made of nothing.
  virtual Result<DiskFacts> disk(const std::string& /*device*/) const { return DiskFacts{}; }
  /// See find_block_device().
  virtual Result<std::string> block_device(const std::string& path) const {
    return fail(ErrorCode::kUnsupported, path + " is not known as a block device");
  }
};

const FileSystems& system_file_systems();

/// mountinfo and overlayfs write blanks and the like as "\040".
std::string unescape_mount(std::string_view text);

/// Whether a path is that of a directory, or of something in it, by their text. @param directory
/// without a slash at its end, unless it is "/".
bool is_below(const std::string& path, const std::string& directory);

/// Whether files in a directory are still there after the next boot. In memory they are not, nor in
/// /tmp, which systems empty at boot, by whatever name that is mounted, nor in a service's private
/// /tmp, which goes with the service; and whatever is on such a place is not: an overlay by its
/// upper directory (live systems), a loop device by its file, LVM, LUKS and RAID by all of their
/// disks, of which brd, zram and null_blk are in memory. A network file system is taken at its
/// word.
/// @param directory  exists, without links.
/// @return kBadData with the reason when they are not, or when nobody can tell. The error of
///         FileSystems::type() when the directory cannot be looked at.
Result<> check_lasting(const std::string& directory, const FileSystems& systems);

}  // namespace hadump
