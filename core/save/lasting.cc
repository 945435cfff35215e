// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/lasting.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <sstream>
#include <string_view>

#include "core/base/file.h"
#include "core/base/units.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMaxMountinfo = 16_MiB;
constexpr int kMaxOverlays = 8;  // One on another: the kernel allows two.

class SystemFileSystems : public FileSystems {
 public:
  Result<std::uint64_t> type(const std::string& directory) const override {
    struct statfs info {};
    if (::statfs(directory.c_str(), &info) != 0) return fail_os(errno, "looking at " + directory);
    return static_cast<std::uint64_t>(info.f_type) & 0xffffffff;
  }
  Result<std::string> mounts() const override {
    return read_text_file("/proc/self/mountinfo", kMaxMountinfo);
  }
};

struct Mount {
  std::string root;     ///< What of its file system is mounted.
  std::string point;    ///< Where.
  std::string source;   ///< Device.
  std::string options;  ///< Of the file system.
};

/// Source: proc(5). "36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw"
std::optional<Mount> parse_mount(const std::string& line) {
  std::istringstream words(line);
  Mount mount;
  std::string word;
  words >> word >> word >> word >> mount.root >> mount.point;
  while (words >> word && word != "-") continue;
  words >> word >> mount.source >> mount.options;
  if (mount.options.empty()) return std::nullopt;
  mount.root = unescape_mount(mount.root);
  mount.point = unescape_mount(mount.point);
  return mount;
}

bool is_below(const std::string& path, const std::string& directory) {
  return directory == "/" || path == directory || path.starts_with(directory + "/");
}

/// The mount that the directory is on: the deepest, and of those the last.
std::optional<Mount> mount_of(const std::string& directory, const std::string& mountinfo) {
  std::optional<Mount> found;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    auto mount = parse_mount(line);
    if (mount && is_below(directory, mount->point) &&
        (!found || mount->point.size() >= found->point.size()))
      found = std::move(mount);
  }
  return found;
}

/// The value of "name=" among options; a comma in it is "\,". @return "" for a name without value.
std::optional<std::string> option_of(const std::string& options, const std::string& name) {
  std::string text = unescape_mount(options);
  for (std::size_t at = 0; at <= text.size();) {
    std::size_t end = text.find(',', at);
    while (end != std::string::npos && end > 0 && text[end - 1] == '\\') {
      text.erase(end - 1, 1);
      end = text.find(',', end);
    }
    const std::string option = text.substr(at, end - at);
    if (option == name) return std::string();
    if (option.starts_with(name + "=")) return option.substr(name.size() + 1);
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return std::nullopt;
}

tl::unexpected<Error> volatile_place(const std::string& directory, const std::string& reason) {
  return fail(ErrorCode::kBadData, fmt::format("{} {}", directory, reason));
}

/// Below an overlay. @return the directory that its files really are in.
Result<std::string> upper_of(const std::string& directory, const std::optional<Mount>& mount) {
  const auto upper = mount ? option_of(mount->options, "upperdir") : std::nullopt;
  if (!upper) return volatile_place(directory, "is on an overlay whose upper directory is unknown");
  if (option_of(mount->options, "volatile"))
    return volatile_place(directory, "is on a volatile overlay, which nothing makes durable");
  return *upper;
}

}  // namespace

std::string unescape_mount(std::string_view text) {
  std::string plain;
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view digits = text.substr(i + 1, 3);
    if (text[i] != '\\' || digits.size() < 3 ||
        !std::all_of(digits.begin(), digits.end(), is_octal)) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + (digits[2] - '0'));
    i += 3;
  }
  return plain;
}

const FileSystems& system_file_systems() {
  static const SystemFileSystems systems;
  return systems;
}

Result<> check_lasting(const std::string& directory, const FileSystems& systems) {
  const auto mounts = systems.mounts();
  std::string place = directory;
  for (int i = 0; i < kMaxOverlays; ++i) {
    if (is_below(place, "/tmp")) return volatile_place(directory, "is emptied at boot");
    const auto type = systems.type(place);
    if (!type && place != directory)
      return volatile_place(directory, "is on an overlay whose upper directory cannot be seen");
    if (!type) return fail(Result<std::uint64_t>(type));
    if (*type == TMPFS_MAGIC || *type == RAMFS_MAGIC || *type == HUGETLBFS_MAGIC)
      return volatile_place(directory, "is in memory and gone after the next boot");
    const auto mount = mounts ? mount_of(place, *mounts) : std::nullopt;
    if (mount && mount->root.find("/systemd-private-") != std::string::npos)
      return volatile_place(directory, "is a service's private directory and goes with it");
    if (mount && (mount->source.starts_with("/dev/ram") || mount->source.starts_with("/dev/zram")))
      return volatile_place(directory, "is on a disk in memory and gone after the next boot");
    if (*type != OVERLAYFS_SUPER_MAGIC) return {};
    auto upper = upper_of(directory, mount);
    if (!upper) return fail(std::move(upper));
    place = std::move(*upper);
  }
  return volatile_place(directory, "is on too many overlays");
}

}  // namespace hadump
