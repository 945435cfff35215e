// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/core_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "core/base/directory_entries.h"
#include "core/base/trusted_path.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWhole = ".core";
constexpr const char* kUnfinished = ".core-unfinished";

// Unfinished ones count while they are written, as what is reserved for them.
Result<CoreUsage> usage_of(const std::string& directory) {
  CoreUsage usage;
  auto read = for_each_entry(directory, [&usage](const fs::directory_entry& entry) {
    std::error_code gone;
    if (entry.path().extension() != kWhole || !entry.is_regular_file(gone)) return;
    const std::uint64_t bytes = entry.file_size(gone);
    if (gone) return;
    ++usage.count;
    usage.bytes += bytes;
  });
  if (!read) return fail(std::move(read));
  std::error_code error;
  usage.free_bytes = fs::space(directory, error).available;
  if (error) return fail_os(error.value(), "asking for the free space of " + directory);
  return usage;
}

// A domain's name comes from dom0; it is a file's name here and nothing else.
std::string file_name(std::string name) {
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

// libxl does not wait for the disk, and the domain is destroyed next.
Result<> sync(const HeldFile& core) {
  auto file = core.open(O_RDONLY);
  if (!file) return fail(std::move(file));
  if (fsync(file->get()) != 0) return fail_os(errno, "writing " + core.path() + " to the disk");
  return {};
}

}  // namespace

Result<> CoreDirectory::reserve(const CorePolicy& policy, std::uint64_t bytes) {
  // Cores are found by predictable names, and are secrets.
  if (auto made = make_own_directory(fs::absolute(policy.directory)); !made) return made;
  const std::lock_guard lock(mutex_);
  auto usage = usage_of(policy.directory);
  if (!usage) return fail(std::move(usage));
  usage->count += reserved_.count;
  usage->bytes += reserved_.bytes;
  // What others are about to write is not free, though some of it may be written already.
  usage->free_bytes -= std::min(usage->free_bytes, reserved_.bytes);
  if (auto room = room_for_core(*usage, bytes, policy); !room) return room;
  ++reserved_.count;
  reserved_.bytes += bytes;
  return {};
}

Result<std::string> CoreDirectory::write(
    const CorePolicy& policy, const std::string& name, std::uint64_t time, std::uint64_t bytes,
    const std::function<Result<>(const std::string& path)>& dump) {
  if (auto room = reserve(policy, bytes); !room) return fail(std::move(room));
  const std::string base = fmt::format("{}-{}", file_name(name), time);
  const std::string directory = fs::absolute(policy.directory).string();
  const auto unfinished = hold_in_own_directory(directory + "/" + base + kUnfinished);
  auto done =
      unfinished.and_then([&](const HeldFile& file) { return dump(file.path_through_proc()); });
  if (done) done = sync(*unfinished);
  if (done) done = unfinished->rename_to(base + kWhole);
  if (done) done = unfinished->sync_directory();
  if (!done && unfinished)  // whichever name it has; `done` is the error to tell
    for (const HeldFile& file : {*unfinished, unfinished->beside(base + kWhole)})
      static_cast<void>(file.remove());
  {
    const std::lock_guard lock(mutex_);
    --reserved_.count;
    reserved_.bytes -= bytes;
  }
  if (!done) return fail(std::move(done));
  return unfinished->beside(base + kWhole).path();
}

}  // namespace hadump
