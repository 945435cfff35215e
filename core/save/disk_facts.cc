// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/disk_facts.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <climits>
#include <filesystem>
#include <system_error>

#include "core/base/directory_entries.h"
#include "core/base/file.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxAttribute = PATH_MAX + 64;

/// Of sysfs: one line.
Result<std::string> read_line(const fs::path& path) {
  auto text = read_text_file(path.string(), kMaxAttribute);
  if (text && text->ends_with('\n')) text->pop_back();
  return text;
}

}  // namespace

Result<DiskFacts> read_disk_facts(const std::string& device, const std::string& sys) {
  std::error_code error;
  fs::path at = fs::canonical(fmt::format("{}/dev/block/{}", sys, device), error);
  if (error) return fail_os(error.value(), "looking at the block device " + device);
  if (fs::exists(at / "partition", error)) at = at.parent_path();
  DiskFacts facts;
  facts.name = at.filename().string();
  facts.backing_file = read_line(at / "loop/backing_file").value_or("");
  Result<> parts;
  auto seen = for_each_entry((at / "slaves").string(), [&](const fs::directory_entry& part) {
    auto number = read_line(part.path() / "dev");
    if (number)
      facts.parts.push_back(std::move(*number));
    else if (parts)
      parts = fail(std::move(number));
  });
  // Without the directory it lies on nothing else.
  if (!seen && seen.error().code() != ErrorCode::kNotFound) parts = std::move(seen);
  if (!parts) return fail(std::move(parts), "what the block device " + device + " lies on");
  return facts;
}

Result<std::string> find_block_device(const std::string& path, const std::string& sys) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISBLK(info.st_mode))
      return fmt::format("{}:{}", ::major(info.st_rdev), ::minor(info.st_rdev));
    return fail(ErrorCode::kUnsupported, path + " is no block device");
  }
  if (path.starts_with("/dev/"))
    if (auto number =
            read_line(sys + "/class/block/" + fs::path(path).filename().string() + "/dev"))
      return number;
  return fail(ErrorCode::kUnsupported, path + " is not known as a block device");
}

bool is_memory_disk(const std::string& name) {
  for (const char* kind : {"ram", "zram", "nullb"}) {
    const std::string_view rest = name.starts_with(kind)
                                      ? std::string_view(name).substr(std::string_view(kind).size())
                                      : std::string_view();
    if (!rest.empty() && std::ranges::all_of(rest, [](char c) { return c >= '0' && c <= '9'; }))
      return true;
  }
  return false;
}

}  // namespace hadump
