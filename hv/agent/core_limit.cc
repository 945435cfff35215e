// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/core_limit.h"

#include <fmt/format.h>

#include "core/base/text.h"
#include "core/base/units.h"

namespace hadump {

Result<> CorePolicy::set(const std::string& key, const std::string& value) {
  if (key == "directory") {
    if (value.empty() || value.front() != '/')
      return fail(ErrorCode::kBadData, fmt::format("'{}' is not an absolute path", value));
    directory = value;
    return {};
  }
  std::uint64_t* const number = key == "max-count"   ? &max_count
                                : key == "max-size"  ? &max_bytes
                                : key == "keep-free" ? &keep_free
                                                     : nullptr;
  if (number == nullptr) return fail(ErrorCode::kBadData, fmt::format("unknown key '{}'", key));
  auto parsed = number == &max_count ? parse_decimal(value) : parse_size(value);
  if (!parsed) return fail(std::move(parsed));
  *number = *parsed;
  return {};
}

std::uint64_t core_bytes(std::uint64_t memory_bytes) {
  constexpr std::uint64_t kTableEntry = 16;  // struct xen_dumpcore_p2m, Xen 4.17 xc_core.h
  return memory_bytes + memory_bytes / kFrameSize * kTableEntry + 1_MiB;
}

Result<> room_for_core(const CoreUsage& usage, std::uint64_t bytes, const CorePolicy& policy) {
  if (usage.count >= policy.max_count)
    return fail(ErrorCode::kNoSpace, fmt::format("{} has {} core dumps, and max-count is {}",
                                                 policy.directory, usage.count, policy.max_count));
  if (usage.bytes > policy.max_bytes || policy.max_bytes - usage.bytes < bytes)
    return fail(
        ErrorCode::kNoSpace,
        fmt::format("{} more for {} of core dumps in {}, and max-size is {}", format_size(bytes),
                    format_size(usage.bytes), policy.directory, format_size(policy.max_bytes)));
  if (usage.free_bytes < policy.keep_free || usage.free_bytes - policy.keep_free < bytes)
    return fail(ErrorCode::kNoSpace,
                fmt::format("{} are free for {} in {}, of which keep-free leaves {} alone",
                            format_size(usage.free_bytes), format_size(bytes), policy.directory,
                            format_size(policy.keep_free)));
  return {};
}

}  // namespace hadump
