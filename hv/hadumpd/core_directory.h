// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "hv/agent/core_limit.h"

namespace hadump {

/// Core dumps of domains as files, within limits. Threads: any.
class CoreDirectory {
 public:
  /// Writes a core dump, as NAME-TIME.core once it is whole. Nothing is left of one that fails.
  /// @param dump  writes a file of at most `bytes` at the path.
  /// @return the path; kNoSpace when a limit is reached; the errors of `dump`.
  Result<std::string> write(const CorePolicy& policy, const std::string& name, std::uint64_t time,
                            std::uint64_t bytes,
                            const std::function<Result<>(const std::string& path)>& dump);

 private:
  Result<> reserve(const CorePolicy& policy, std::uint64_t bytes);

  std::mutex mutex_;
  CoreUsage reserved_;  ///< by dumps that are being written; guarded by mutex_
};

}  // namespace hadump
