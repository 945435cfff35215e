// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// Where core dumps go, and how much of the disk they may take.
struct CorePolicy {
  std::string directory = "/var/lib/xen/dump";  ///< xl's own
  std::uint64_t max_count = 8;
  std::uint64_t max_bytes = 64ULL << 30;
  std::uint64_t keep_free = 1ULL << 30;  ///< of the file system, whoever has used the rest

  /// @return kBadData for an unknown key or a value that makes no sense.
  Result<> set(const std::string& key, const std::string& value);
};

/// What is in the directory, core dumps that are being written included.
struct CoreUsage {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  std::uint64_t free_bytes = 0;  ///< of its file system
};

/// How long the core dump of a domain gets: its memory, a table entry for each page, headers.
std::uint64_t core_bytes(std::uint64_t memory_bytes);

/// Whether another core dump of `bytes` may be written. Older ones are never removed for it: they
/// are the admin's, and the first of a series says the most.
/// @return kNoSpace, naming the limit.
Result<> room_for_core(const CoreUsage& usage, std::uint64_t bytes, const CorePolicy& policy);

}  // namespace hadump
