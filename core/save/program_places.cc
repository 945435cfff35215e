// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/program_places.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace hadump {
namespace {

namespace fs = std::filesystem;

// What may stand before a path in an option, or in a line for a shell. Not ':', which another
// system's name ends with.
constexpr std::string_view kSeparators = " \t\n\"'`=<>|;&(){},";
constexpr std::string_view kEndOfName = "{}";  // Stands for the dump's name.

bool is_device(const fs::path& path) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  return fs::exists(status) && fs::is_other(status);
}

void add_place(std::string_view text, std::vector<std::string>& places) {
  if (!text.starts_with('/')) return;
  const std::string path = fs::path(text).lexically_normal();
  if (!is_below(path, "/proc") && !is_below(path, "/sys") && !is_device(path))
    places.push_back(path);
}

}  // namespace

std::vector<std::string> places_in(const std::vector<std::string>& words) {
  std::vector<std::string> places;
  for (std::size_t i = 1; i < words.size(); ++i) {
    // A name with blanks in it is one, too.
    const std::string_view word = words[i];
    if (word.starts_with('/')) add_place(word.substr(0, word.find(kEndOfName)), places);
    for (std::size_t at = 0; at < word.size();) {
      const std::size_t end = std::min(word.find_first_of(kSeparators, at), word.size());
      if (at != 0 || end != word.size()) add_place(word.substr(at, end - at), places);
      at = end + 1;
    }
  }
  return places;
}

Result<> check_lasting_place(const std::string& place, const FileSystems& systems) {
  fs::path at = place;
  std::error_code error;
  for (; !fs::is_directory(at, error) && at.has_relative_path(); at = at.parent_path()) {
    const fs::path file = fs::canonical(at, error);
    if (!error)
      at = file;
    else if (fs::is_symlink(at, error))
      return fail(ErrorCode::kBadData, at.string() + " is a link to what is not there");
  }
  const fs::path real = fs::canonical(at, error);
  if (error) return fail_os(error.value(), "looking at " + at.string());
  return check_lasting(real.string(), systems);
}

}  // namespace hadump
