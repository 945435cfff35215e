// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "core/base/error.h"

namespace hadump {

/// Which saves of a waiting dump have been begun, kept in one place whatever their targets are:
/// what was released is only in their files, and a save to another place must find them.
///
/// One text file for each dump, "DIRECTORY/DUMP-ID.saves", with a journal's path a line.
class SaveRegistry {
 public:
  /// @param directory  made when the first save is noted; empty: nothing is kept or known.
  explicit SaveRegistry(std::string directory) : directory_(std::move(directory)) {}

  /// The journals, newest first; none when no save was noted.
  /// @return kBadData when others can change the list or the way to it.
  Result<std::vector<std::string>> journals(const std::string& dump_id) const;
  /// Durable when this returns Ok. @pre `journal` is absolute and has no newline.
  Result<> add(const std::string& dump_id, const std::string& journal) const;
  /// The dump is over.
  Result<> forget(const std::string& dump_id) const;

 private:
  std::string path_for(const std::string& dump_id) const;

  std::string directory_;
};

}  // namespace hadump
