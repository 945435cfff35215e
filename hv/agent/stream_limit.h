// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// Where streams of guests go, and how much of the host they may take together: the section
/// [streams].
struct StreamLimits {
  std::string directory = "/var/lib/xen/dump/streams";
  std::uint64_t max_running = 8;         ///< at once
  std::uint64_t keep_free = 1ULL << 30;  ///< of the file system, whoever has used the rest

  /// @return kBadData for an unknown key or a value that makes no sense.
  Result<> set(const std::string& key, const std::string& value);
};

/// What one guest may send: its policy's keys stream, stream-max-size and stream-max-count.
struct StreamPolicy {
  bool allowed = false;
  std::uint64_t max_bytes = 16ULL << 30;  ///< of its files together
  std::uint64_t max_files = 16;
};

/// What a guest's directory has, files that are being written included.
struct StreamUsage {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// Whether there may be another file. @return kNoSpace, naming the limit. The guest is told.
Result<> room_for_file(const StreamUsage& usage, const StreamPolicy& policy);
/// Whether there may be so many more bytes. @param free  of the file system. @return as above.
Result<> room_for_bytes(const StreamUsage& usage, std::uint64_t bytes, std::uint64_t free,
                        const StreamPolicy& policy, std::uint64_t keep_free);

}  // namespace hadump
