// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/unique_handle.h"
#include "core/save/lasting.h"

namespace hadump {

/// The file systems that another program may write to. Opened before it runs, because Linux tells
/// of a failed write-back only those who had the file system open when it happened (syncfs(2),
/// since 5.8).
class MountedDisks {
 public:
  /// Opens each file system on a block device that is mounted writable. One that cannot be opened
  /// is left out: nobody can write through that name either.
  /// @param directory  whose file system is wanted as well, of whatever kind; empty for none.
  /// @return kOs, kNotFound when `directory` cannot be opened; the errors of mounts().
  static Result<MountedDisks> open(const FileSystems& systems, const std::string& directory);

  /// Writes everything back that any file system of this machine has, and waits for it.
  /// @return the first error of those that are open here, with its mount point.
  Result<> sync() const;

  std::vector<std::string> points() const;

 private:
  std::vector<std::pair<std::string, UniqueFd>> open_;
};

}  // namespace hadump
