// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "core/base/error.h"
#include "core/save/lasting.h"
#include "hv/agent/stream_limit.h"

namespace hadump {

/// The directory of a guest's files: DIRECTORY/DOMAIN.
std::string stream_directory_of(const std::string& directory, const std::string& domain);

/// What guests' streams have used of their quotas. docs/spec/stream.md, "Files".
///
/// Threads: any; each file is for one thread.
class StreamDirectory {
 public:
  /// @param systems  borrowed. @param wall_ms  milliseconds since 1970, for names.
  StreamDirectory(const FileSystems& systems, std::function<std::uint64_t()> wall_ms)
      : systems_(systems), wall_ms_(std::move(wall_ms)) {}

 private:
  friend class StreamFile;
  struct Account {
    StreamUsage usage;
    unsigned running = 0;
  };
  Result<> begin(const std::string& directory, const StreamPolicy& policy);
  Result<> take(const std::string& directory, std::uint64_t bytes, std::uint64_t free,
                const StreamPolicy& policy, std::uint64_t keep_free);
  std::uint64_t left(const std::string& directory, const StreamPolicy& policy);
  /// @param removed_bytes  of the file, when it is gone.
  void end(const std::string& directory, bool removed, std::uint64_t removed_bytes);

  const FileSystems& systems_;
  std::function<std::uint64_t()> wall_ms_;
  std::mutex mutex_;
  std::map<std::string, Account> accounts_;  ///< by directory, while streams run; guarded by mutex_
};

}  // namespace hadump
