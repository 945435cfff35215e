// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/mounted_disks.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <sstream>

#include "core/base/file.h"

namespace hadump {
namespace {

/// Of a line "36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw" (proc(5)).
struct DiskMount {
  std::string device;  ///< "98:0"
  std::string point;   ///< As written there: with \040 for a blank.
  bool is_writable_disk = false;
};

DiskMount parse_disk_mount(const std::string& line) {
  std::istringstream words(line);
  DiskMount mount;
  std::string word, options, source;
  words >> word >> word >> mount.device >> word >> mount.point >> options;
  while (words >> word && word != "-") continue;
  words >> word >> source;
  mount.is_writable_disk =
      source.starts_with("/dev/") && (options == "rw" || options.starts_with("rw,"));
  return mount;
}

constexpr int kOpenFlags = O_RDONLY | O_DIRECTORY | O_NONBLOCK;

}  // namespace

Result<MountedDisks> MountedDisks::open(const FileSystems& systems, const std::string& directory) {
  MountedDisks disks;
  if (!directory.empty()) {
    auto fd = open_file(directory, kOpenFlags);
    if (!fd) return fail(std::move(fd));
    disks.open_.emplace_back(directory, std::move(*fd));
  }
  const auto mounts = systems.mounts();
  if (!mounts) return fail(Result<std::string>(mounts));
  std::set<std::string> seen;
  std::istringstream lines(*mounts);
  for (std::string line; std::getline(lines, line);) {
    const DiskMount mount = parse_disk_mount(line);
    if (!mount.is_writable_disk || seen.contains(mount.device)) continue;
    auto fd = open_file(unescape_mount(mount.point), kOpenFlags);
    if (!fd) continue;  // A file that is mounted over another, or hidden by a later mount.
    seen.insert(mount.device);
    disks.open_.emplace_back(unescape_mount(mount.point), std::move(*fd));
  }
  return disks;
}

Result<> MountedDisks::sync() const {
  ::sync();
  for (const auto& [point, fd] : open_)
    if (::syncfs(fd.get()) != 0) return fail_os(errno, "making what is on " + point + " durable");
  return {};
}

std::vector<std::string> MountedDisks::points() const {
  std::vector<std::string> points;
  for (const auto& [point, fd] : open_) points.push_back(point);
  return points;
}

}  // namespace hadump
