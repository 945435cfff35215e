// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/stream_limit.h"

#include <fmt/format.h>

#include "core/base/text.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMaxRunning = 256;  // Each has a thread and a mapped ring.

}  // namespace

Result<> StreamLimits::set(const std::string& key, const std::string& value) {
  if (key == "directory") {
    if (value.empty() || value.front() != '/')
      return fail(ErrorCode::kBadData, fmt::format("'{}' is not an absolute path", value));
    directory = value;
    return {};
  }
  std::uint64_t* const number = key == "max-running" ? &max_running
                                : key == "keep-free" ? &keep_free
                                                     : nullptr;
  if (number == nullptr) return fail(ErrorCode::kBadData, fmt::format("unknown key '{}'", key));
  auto parsed = number == &keep_free ? parse_size(value) : parse_decimal(value);
  if (!parsed) return fail(std::move(parsed));
  if (number == &max_running && (*parsed == 0 || *parsed > kMaxRunning))
    return fail(ErrorCode::kBadData, fmt::format("{} is not from 1 to {}", value, kMaxRunning));
  *number = *parsed;
  return {};
}

Result<> room_for_file(const StreamUsage& usage, const StreamPolicy& policy) {
  if (usage.files < policy.max_files) return {};
  return fail(ErrorCode::kNoSpace,
              fmt::format("this guest has {} files on the host, and stream-max-count is {}",
                          usage.files, policy.max_files));
}

Result<> room_for_bytes(const StreamUsage& usage, std::uint64_t bytes, std::uint64_t free,
                        const StreamPolicy& policy, std::uint64_t keep_free) {
  if (usage.bytes > policy.max_bytes || policy.max_bytes - usage.bytes < bytes)
    return fail(ErrorCode::kNoSpace,
                fmt::format("this guest has {} on the host, and stream-max-size is {}",
                            format_size(usage.bytes), format_size(policy.max_bytes)));
  if (free < keep_free || free - keep_free < bytes)
    return fail(ErrorCode::kNoSpace,
                fmt::format("{} are free on the host's disk, of which keep-free leaves {} alone",
                            format_size(free), format_size(keep_free)));
  return {};
}

}  // namespace hadump
