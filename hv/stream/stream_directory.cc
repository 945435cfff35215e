// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/stream/stream_directory.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/base/directory_entries.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

Result<StreamUsage> usage_in(const std::string& directory) {
  StreamUsage usage;
  auto read = for_each_entry(directory, [&usage](const fs::directory_entry& entry) {
    ++usage.files;
    std::error_code gone;
    if (!entry.is_regular_file(gone)) return;
    const std::uint64_t bytes = entry.file_size(gone);
    if (!gone) usage.bytes += bytes;
  });
  if (!read) return fail(std::move(read));
  return usage;
}

}  // namespace

// A domain's name comes from dom0; it is a directory's name here and nothing else.
std::string stream_directory_of(const std::string& directory, const std::string& domain) {
  std::string name = domain.empty() ? "_" : domain;
  std::replace(name.begin(), name.end(), '/', '_');
  if (name.front() == '.') name.front() = '_';
  return directory + "/" + name;
}

Result<> StreamDirectory::begin(const std::string& directory, const StreamPolicy& policy) {
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(directory);
  Account account;
  if (found != accounts_.end()) {
    account = found->second;
  } else {
    auto usage = usage_in(directory);
    if (!usage) return fail(std::move(usage));
    account.usage = *usage;
  }
  if (auto room = room_for_file(account.usage, policy); !room) return room;
  ++account.usage.files;
  ++account.running;
  accounts_[directory] = account;
  return {};
}

Result<> StreamDirectory::take(const std::string& directory, std::uint64_t bytes,
                               std::uint64_t free, const StreamPolicy& policy,
                               std::uint64_t keep_free) {
  const std::lock_guard lock(mutex_);
  StreamUsage& usage = accounts_[directory].usage;
  if (auto room = room_for_bytes(usage, bytes, free, policy, keep_free); !room) return room;
  usage.bytes += bytes;
  return {};
}

std::uint64_t StreamDirectory::left(const std::string& directory, const StreamPolicy& policy) {
  const std::lock_guard lock(mutex_);
  return policy.max_bytes - std::min(policy.max_bytes, accounts_[directory].usage.bytes);
}

void StreamDirectory::end(const std::string& directory, bool removed, std::uint64_t removed_bytes) {
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(directory);
  if (found == accounts_.end()) return;
  Account& account = found->second;
  if (removed) --account.usage.files;
  account.usage.bytes -= std::min(account.usage.bytes, removed_bytes);
  // What an admin removes meanwhile counts until the last stream has ended.
  if (--account.running == 0) accounts_.erase(found);
}

}  // namespace hadump
