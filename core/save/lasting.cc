// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/lasting.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "core/base/file.h"
#include "core/base/units.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMaxMountinfo = 16_MiB;
// Overlays, loop devices and what disks are made of, one on another. The kernel allows two
// overlays; LVM on LUKS on RAID on partitions is four.
constexpr int kMaxLayers = 16;

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
  Result<std::uint64_t> mount_id(const std::string& directory) const override {
    struct statx info {};
    if (::statx(AT_FDCWD, directory.c_str(), 0, STATX_MNT_ID, &info) != 0)
      return fail_os(errno, "looking at " + directory);
    if ((info.stx_mask & STATX_MNT_ID) == 0)
      return fail(ErrorCode::kUnsupported, "this kernel does not tell mounts apart");
    return info.stx_mnt_id;
  }
  Result<DiskFacts> disk(const std::string& device) const override {
    return read_disk_facts(device);
  }
  Result<std::string> block_device(const std::string& path) const override {
    return find_block_device(path);
  }
};

struct Mount {
  std::uint64_t id = 0;
  std::string device;   ///< "MAJOR:MINOR"; MAJOR is 0 where no block device is the file system's.
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
  words >> mount.id >> word >> mount.device >> mount.root >> mount.point;
  while (words >> word && word != "-") continue;
  words >> word >> mount.source >> mount.options;
  if (mount.options.empty()) return std::nullopt;
  mount.root = unescape_mount(mount.root);
  mount.point = unescape_mount(mount.point);
  return mount;
}

std::vector<Mount> parse_mounts(const std::string& mountinfo) {
  std::vector<Mount> mounts;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);)
    if (auto mount = parse_mount(line)) mounts.push_back(std::move(*mount));
  return mounts;
}

/// What `path` is called when `from`, which it is below, is called `to`.
std::string moved(const std::string& path, const std::string& from, const std::string& to) {
  const std::string rest = path.substr(from == "/" ? 0 : from.size());
  if (rest.empty() || rest == "/") return to;
  return (to == "/" ? "" : to) + rest;
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
Result<std::string> upper_of(const std::string& directory, const Mount& mount) {
  const auto upper = option_of(mount.options, "upperdir");
  if (!upper) return volatile_place(directory, "is on an overlay whose upper directory is unknown");
  if (option_of(mount.options, "volatile"))
    return volatile_place(directory, "is on a volatile overlay, which nothing makes durable");
  return *upper;
}

/// One question: whether a directory lasts. It goes down from layer to layer.
class Question {
 public:
  Question(const std::string& directory, const FileSystems& systems)
      : directory_(directory), systems_(systems) {}

  Result<> ask();

 private:
  Result<> look_at(const std::string& place, int layer);
  Result<> look_at_type(const std::string& place, std::uint64_t type) const;
  Result<> look_at_names(const std::string& place, const Mount& mount) const;
  Result<> look_at_disk(const std::string& device, int layer);
  Result<> look_at_file(const std::string& file, int layer);
  const Mount* mount_of(const std::string& place) const;

  const std::string& directory_;
  const FileSystems& systems_;
  std::vector<Mount> mounts_;
};

Result<> Question::ask() {
  // Before anything else is said of a directory that is not there.
  if (const auto type = systems_.type(directory_); !type) return fail(Result<std::uint64_t>(type));
  const auto text = systems_.mounts();
  if (!text)
    return volatile_place(directory_, "may be anywhere, since the list of mounts cannot be read: " +
                                          text.error().what());
  mounts_ = parse_mounts(*text);
  return look_at(directory_, 0);
}

/// The mount that the place is on. Where the kernel does not say: the deepest, of those the last.
const Mount* Question::mount_of(const std::string& place) const {
  const auto id = systems_.mount_id(place);
  const Mount* found = nullptr;
  for (const Mount& mount : mounts_) {
    if (id ? mount.id != *id : !is_below(place, mount.point)) continue;
    if (found == nullptr || mount.point.size() >= found->point.size()) found = &mount;
  }
  return found;
}

Result<> Question::look_at_type(const std::string& place, std::uint64_t type) const {
  if (is_below(place, "/tmp")) return volatile_place(directory_, "is emptied at boot");
  if (type == TMPFS_MAGIC || type == RAMFS_MAGIC || type == HUGETLBFS_MAGIC)
    return volatile_place(directory_, "is in memory and gone after the next boot");
  return {};
}

/// What is mounted here may be a directory that has another name, too.
Result<> Question::look_at_names(const std::string& place, const Mount& mount) const {
  if (mount.root.find("/systemd-private-") != std::string::npos)
    return volatile_place(directory_, "is a service's private directory and goes with it");
  // Moved away or covered since: what its names are is not known.
  if (!is_below(place, mount.point))
    return volatile_place(directory_, "is not where the list of mounts has it");
  const std::string inside = moved(place, mount.point, mount.root);
  bool is_top_seen = mount.root == "/";
  for (const Mount& other : mounts_) {
    if (other.device != mount.device || !is_below(inside, other.root)) continue;
    is_top_seen |= other.root != mount.root && is_below(mount.root, other.root);
    const std::string name = moved(inside, other.root, other.point);
    if (is_below(name, "/tmp"))
      return volatile_place(directory_, "is " + name + ", which is emptied at boot");
  }
  // Of a file system of which no more is mounted, the top may be that of the system.
  if (!is_top_seen && is_below(inside, "/tmp"))
    return volatile_place(directory_,
                          "is " + inside + " of its file system, which may be emptied at boot");
  return {};
}

Result<> Question::look_at(const std::string& place, int layer) {
  if (layer == kMaxLayers) return volatile_place(directory_, "is on too many layers");
  const auto type = systems_.type(place);
  if (!type) return volatile_place(directory_, "is in " + place + ", which cannot be seen");
  if (auto lasting = look_at_type(place, *type); !lasting) return lasting;
  const Mount* const mount = mount_of(place);
  if (mount == nullptr)
    return volatile_place(directory_, "is on a mount that is not in the list of mounts");
  if (auto lasting = look_at_names(place, *mount); !lasting) return lasting;
  if (*type == OVERLAYFS_SUPER_MAGIC) {
    auto upper = upper_of(directory_, *mount);
    if (!upper) return fail(std::move(upper));
    return look_at(*upper, layer + 1);
  }
  if (mount->source.starts_with("/dev/") && is_memory_disk(mount->source.substr(5)))
    return volatile_place(directory_, "is on a disk in memory and gone after the next boot");
  if (!mount->device.starts_with("0:")) return look_at_disk(mount->device, layer + 1);
  // Btrfs has devices without being one's. Network file systems are taken at their word.
  const auto device = systems_.block_device(mount->source);
  return device ? look_at_disk(*device, layer + 1) : Result<>();
}

Result<> Question::look_at_disk(const std::string& device, int layer) {
  if (layer == kMaxLayers) return volatile_place(directory_, "is on too many layers");
  const auto disk = systems_.disk(device);
  if (!disk)
    return volatile_place(directory_, "is on a disk that cannot be seen: " + disk.error().what());
  if (is_memory_disk(disk->name))
    return volatile_place(directory_, "is on a disk in memory and gone after the next boot");
  if (!disk->backing_file.empty())
    if (auto lasting = look_at_file(disk->backing_file, layer); !lasting) return lasting;
  for (const std::string& part : disk->parts)
    if (auto lasting = look_at_disk(part, layer + 1); !lasting) return lasting;
  return {};
}

/// What a loop device shows.
Result<> Question::look_at_file(const std::string& file, int layer) {
  if (file.ends_with(" (deleted)"))
    return volatile_place(directory_, "is in the file " + file + ", which goes with this boot");
  if (const auto device = systems_.block_device(file)) return look_at_disk(*device, layer + 1);
  const std::size_t slash = file.rfind('/');
  if (slash == std::string::npos)
    return volatile_place(directory_, "is in the file " + file + ", which cannot be seen");
  return look_at(slash == 0 ? "/" : file.substr(0, slash), layer + 1);
}

}  // namespace

bool is_below(const std::string& path, const std::string& directory) {
  return directory == "/" || path == directory || path.starts_with(directory + "/");
}

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
  return Question(directory, systems).ask();
}

}  // namespace hadump
