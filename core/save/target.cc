// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/target.h"

#include <cctype>
#include <filesystem>
#include <system_error>

#include "core/base/file.h"
#include "core/base/time_text.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

bool names_directory(const std::string& path) {
  std::error_code ignored;  // What cannot be looked at is no directory; opening it says why.
  return path.ends_with('/') || fs::is_directory(path, ignored);
}

// mkdir -p, mode 0700 for what is made: a dump holds everything the machine knew.
Result<> make_directory(const fs::path& path) {
  std::error_code error;
  if (!fs::create_directories(path, error) && error)
    return fail_os(error.value(), "making " + path.string());
  if (!error) fs::permissions(path, fs::perms::owner_all, error);
  if (error) return fail_os(error.value(), "setting the mode of " + path.string());
  return sync_directory_of(path.string());
}

// Absolute, because a later save may be started elsewhere.
Result<std::string> file_in(const std::string& to, const std::string& directory_name) {
  std::error_code error;
  const fs::path absolute = fs::absolute(to, error);
  if (error) return fail_os(error.value(), "finding " + to);
  if (!names_directory(to)) return absolute.string();
  const fs::path directory = absolute / directory_name;
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored))
    if (auto made = make_directory(directory); !made) return fail(std::move(made));
  return (directory / "vmcore").string();
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

Result<SaveTarget> resolve_target(const std::vector<std::string>& to, const DumpName& name) {
  SaveTarget target;
  for (const std::string& path : to) {
    if (path.empty() || path.find('\n') != std::string::npos)
      return fail(ErrorCode::kBadData, "a target needs a name without line breaks");
    if (path == "-" && to.size() > 1)
      return fail(ErrorCode::kBadData, "standard output cannot be one of several targets");
    if (path == "-") return SaveTarget{{path}, {}};
    auto file = file_in(path, dump_directory_name(name));
    if (!file) return fail(std::move(file));
    target.files.push_back(std::move(*file));
  }
  if (target.files.empty()) return fail(ErrorCode::kBadData, "no target: --to PATH is needed");
  const std::string& first = target.files.front();
  const bool in_directory = names_directory(to.front());
  target.log_file =
      in_directory ? (fs::path(first).parent_path() / "dmesg.txt").string() : first + "-dmesg.txt";
  return target;
}

}  // namespace hadump
