// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/save_registry.h"

#include <algorithm>

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
  auto file = hold_in_own_directory(path_for(dump_id));
  if (!file) return fail(std::move(file));
  return file->replace(text + journal + '\n', 0600);
}

Result<> SaveRegistry::forget(const std::string& dump_id) const {
  if (directory_.empty()) return {};
  auto removed =
      hold_trusted(path_for(dump_id)).and_then([](const HeldFile& file) { return file.remove(); });
  if (!removed && removed.error().code() != ErrorCode::kNotFound) return removed;
  return {};
}

}  // namespace hadump
