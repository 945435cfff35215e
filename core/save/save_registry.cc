// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/save_registry.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/file.h"
#include "core/base/trusted_path.h"
#include "core/base/units.h"

namespace hadump {
namespace {

// A path a line, one for each target that was ever tried.
constexpr std::uint64_t kMaxRegistry = 1_MiB;

}  // namespace

std::string SaveRegistry::path_for(const std::string& dump_id) const {
  return directory_ + "/" + dump_id + ".saves";
}

Result<std::vector<std::string>> SaveRegistry::journals(const std::string& dump_id) const {
  std::vector<std::string> found;
  if (directory_.empty()) return found;
  auto text = read_trusted_text_file(path_for(dump_id), kMaxRegistry);
  if (!text && text.error().code() == ErrorCode::kNotFound) return found;
  if (!text) return fail(std::move(text));
  for (std::string_view rest = *text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.starts_with('/')) found.emplace_back(line);
  }
  std::reverse(found.begin(), found.end());
  return found;
}

Result<> SaveRegistry::add(const std::string& dump_id, const std::string& journal) const {
  if (directory_.empty()) return {};
  auto known = journals(dump_id);
  if (!known) return fail(std::move(known));
  std::erase(*known, journal);
  std::string text;
  for (auto line = known->rbegin(); line != known->rend(); ++line) text += *line + '\n';
  if (auto made = make_own_directory(directory_); !made) return made;
  return write_file_atomically(path_for(dump_id), text + journal + '\n', 0600);
}

Result<> SaveRegistry::forget(const std::string& dump_id) const {
  if (directory_.empty()) return {};
  const std::string path = path_for(dump_id);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_os(errno, "removing " + path);
  return {};
}

}  // namespace hadump
