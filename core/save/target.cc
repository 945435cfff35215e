// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/target.h"

#include <sys/stat.h>

#include <cctype>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "core/base/time_text.h"
#include "core/base/trusted_path.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

bool names_directory(const std::string& path) {
  std::error_code ignored;  // What cannot be examined is not a directory; opening it says why.
  return path.ends_with('/') || fs::is_directory(path, ignored);
}

// Absolute, because a later save may be started elsewhere.
Result<std::string> absolute_path(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (error) return fail_os(error.value(), "finding " + path);
  return absolute.string();
}

Result<> check_place(const std::string& path, const TargetRules& rules) {
  if (!rules.is_trusted) return {};
  auto directory = walk_trusted(path);
  if (!directory)
    return fail(std::move(directory),
                "refusing to save to " + path + ", since others can change it");
  if (!rules.is_lasting) return {};
  if (auto lasting = check_lasting(*directory, *rules.systems); !lasting)
    return fail(std::move(lasting), "refusing to release memory for a dump in " + path);
  return {};
}

Result<> check_kind(const std::string& path) {
  std::error_code ignored;  // What cannot be looked at cannot be opened either; that says why.
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_block_file(status))
    return fail(ErrorCode::kBadData,
                path +
                    " is a block device; a dump needs a file system: mount one, and name a "
                    "directory in it");
  if (fs::exists(status) && fs::is_other(status))
    return fail(ErrorCode::kBadData, path + " is a device, a pipe or a socket; a dump is a file");
  return {};
}

/// With those on the way to it, for us alone.
Result<> make_directories(const fs::path& path) {
  fs::path prefix;
  for (const fs::path& name : path) {
    prefix /= name;
    std::error_code ignored;
    if (::mkdir(prefix.c_str(), 0700) == 0 || fs::is_directory(prefix, ignored)) continue;
    return fail_os(errno, "creating the directory " + prefix.string());
  }
  return {};
}

Result<HeldFile> file_in(const std::string& to, const std::string& directory_name,
                         const TargetRules& rules) {
  auto absolute = absolute_path(to);
  if (!absolute) return fail(std::move(absolute));
  if (!names_directory(to))
    return rules.is_trusted ? hold_trusted(*absolute) : HeldFile::at(*absolute);
  const fs::path directory = fs::path(*absolute) / directory_name;
  const std::string file = (directory / "vmcore").string();
  if (rules.is_trusted) return hold_in_own_directory(file);
  // A copy of a file may go where others can follow.
  if (auto made = make_directories(directory); !made) return fail(std::move(made));
  return HeldFile::at(file);
}

}  // namespace

std::string dump_directory_name(const DumpName& name) {
  std::string host = name.host.empty() ? "hadump" : name.host;
  for (char& c : host)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '.') c = '_';
  if (host[0] == '.') host[0] = '_';
  const std::string time = compact_time_text(name.crash_time);
  return host + "-" + (time.empty() ? name.dump_id : time);
}

Result<> check_target(const std::vector<std::string>& to, const TargetRules& rules) {
  if (to.empty()) return fail(ErrorCode::kBadData, "no target: --to PATH is needed");
  for (const std::string& path : to) {
    if (path.empty() || path.find('\n') != std::string::npos)
      return fail(ErrorCode::kBadData, "a target needs a name without line breaks");
    if (path == "-" && to.size() > 1)
      return fail(ErrorCode::kBadData, "standard output cannot be one of several targets");
    if (path == "-") return {};
    auto absolute = absolute_path(path);
    if (!absolute) return fail(std::move(absolute));
    if (auto kind = check_kind(*absolute); !kind) return kind;
    if (auto place = check_place(*absolute, rules); !place) return place;
  }
  return {};
}

std::string companion_of(const std::string& to, const std::string& file, const std::string& name) {
  return names_directory(to) ? (fs::path(file).parent_path() / name).string() : file + "-" + name;
}

Result<SaveTarget> resolve_target(const std::vector<std::string>& to, const DumpName& name,
                                  const TargetRules& rules) {
  if (auto checked = check_target(to, rules); !checked) return fail(std::move(checked));
  if (to.front() == "-") return SaveTarget{};
  SaveTarget target;
  for (const std::string& path : to) {
    auto file = file_in(path, dump_directory_name(name), rules);
    if (!file) return fail(std::move(file));
    target.files.push_back(std::move(*file));
  }
  const HeldFile& first = target.files.front();
  const fs::path log = companion_of(to.front(), first.path(), "dmesg.txt");
  target.log_file = first.beside(log.filename().string());
  return target;
}

}  // namespace hadump
