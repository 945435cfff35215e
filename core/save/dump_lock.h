// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "core/save/save.h"
#include "core/save/save_lock.h"

namespace hadump {

/// The right to save a dump, by what could be locked: the file in SaveSeams::state_dir, which says
/// who has it, and RegionReleaser::lock(), which is there on a machine without a disk, too.
class DumpLock {
 public:
  DumpLock() = default;
  DumpLock(std::optional<SaveLock> file, UniqueFd interface)
      : file_(std::move(file)), interface_(std::move(interface)) {}

  /// A process that inherits these has the locks, too, until its end. Borrowed.
  std::vector<int> fds() const;

 private:
  std::optional<SaveLock> file_;
  UniqueFd interface_;
};

/// Takes the locks of the waiting dump, as many as can be had.
/// @param to        where the save goes, for those who come later.
/// @param wait      for another save's end.
/// @param releases  memory is to be released. Nobody may do so without a lock; a copy needs none.
/// @return no lock where no dump waits (any more). kLocked when another process has one; kError
///         when `releases` and there is none, or with kCancelled.
tl::expected<DumpLock, SaveFailure> lock_dump(const SaveSeams& seams, const std::string& to,
                                              bool wait, bool releases, SaveReporter& reporter);

}  // namespace hadump
