// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/trusted_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <list>
#include <span>

#include "core/base/file.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxLinks = 40;  // As the kernel.

bool is_ours(const struct stat& info) {
  return info.st_uid == 0 || info.st_uid == ::geteuid();
}

bool others_can_write(const struct stat& info) {
  return (info.st_mode & S_IWOTH) != 0 || ((info.st_mode & S_IWGRP) != 0 && info.st_gid != 0);
}

Result<> check_trusted(const struct stat& info, const std::string& path) {
  if (!is_ours(info))
    return fail(ErrorCode::kBadData, fmt::format("{} belongs to user {}", path, info.st_uid));
  const bool is_link = S_ISLNK(info.st_mode);  // Its mode says nothing.
  const bool is_sticky = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
  if (!is_link && !is_sticky && others_can_write(info))
    return fail(ErrorCode::kBadData,
                fmt::format("{} can be changed by others (mode {:04o}, group {})", path,
                            info.st_mode & 07777U, info.st_gid));
  return {};
}

using Names = std::list<std::string>;

Names names_in(const fs::path& path) {
  Names names;
  for (const fs::path& name : path.relative_path())
    if (!name.empty() && name != ".") names.push_back(name.string());
  return names;
}

/// The walk: where it is, and what is left of the way.
class Walk {
 public:
  explicit Walk(const std::string& path) : todo_(names_in(path)) {}

  /// One name further. False at the end of what exists.
  Result<bool> step();
  const std::string& directory() const { return at_; }

 private:
  Result<> follow(const std::string& link);

  std::string at_ = "/";
  Names todo_;
  int links_ = 0;
};

Result<> Walk::follow(const std::string& link) {
  if (++links_ > kMaxLinks) return fail_os(ELOOP, "following " + link);
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (error) return fail_os(error.value(), "following " + link);
  if (target.is_absolute()) at_ = "/";
  todo_.splice(todo_.begin(), names_in(target));
  return {};
}

Result<bool> Walk::step() {
  if (todo_.empty()) return false;
  const std::string name = std::move(todo_.front());
  todo_.pop_front();
  if (name == "..") {
    at_ = fs::path(at_).parent_path().string();
    return true;
  }
  const std::string next = (fs::path(at_) / name).string();
  struct stat info {};
  if (::lstat(next.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    return fail_os(errno, "looking at " + next);
  }
  const bool is_link = S_ISLNK(info.st_mode);
  if (!is_link && !S_ISDIR(info.st_mode)) return false;
  if (auto trusted = check_trusted(info, next); !trusted) return fail(std::move(trusted));
  if (!is_link)
    at_ = next;
  else if (auto followed = follow(next); !followed)
    return fail(std::move(followed));
  return true;
}

}  // namespace

Result<std::string> walk_trusted(const std::string& path) {
  struct stat root {};
  if (::lstat("/", &root) != 0) return fail_os(errno, "looking at /");
  if (auto trusted = check_trusted(root, "/"); !trusted) return fail(std::move(trusted));
  Walk walk(path);
  for (;;) {
    const auto more = walk.step();
    if (!more) return fail(Result<bool>(more));
    if (!*more) return walk.directory();
  }
}

Result<> make_own_directory(const std::string& path) {
  fs::path prefix;
  for (const fs::path& name : fs::path(path)) {
    prefix /= name;
    if (::mkdir(prefix.c_str(), 0700) == 0) {
      if (auto synced = sync_directory_of(prefix.string()); !synced) return synced;
      continue;
    }
    const int error = errno;  // On the way to what exists: EEXIST, or EROFS, EACCES.
    std::error_code ignored;
    if (!fs::is_directory(prefix, ignored))
      return fail_os(error, "creating the directory " + prefix.string());
  }
  // Now it exists: where others can make directories, somebody may have been faster.
  auto directory = walk_trusted(path);
  if (!directory) return fail(std::move(directory));
  struct stat info {};
  if (::lstat(directory->c_str(), &info) != 0) return fail_os(errno, "looking at " + *directory);
  if (others_can_write(info))
    return fail(ErrorCode::kBadData,
                fmt::format("{} is a directory that others can write to (mode {:04o})", path,
                            info.st_mode & 07777U));
  return {};
}

Result<> check_trusted_file(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail_os(errno, "looking at " + path);
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::kBadData, path + " is not a regular file");
  if (info.st_nlink > 1) return fail(ErrorCode::kBadData, path + " has another name as well");
  return check_trusted(info, path);
}

Result<std::string> read_trusted_text_file(const std::string& path, std::uint64_t limit) {
  if (auto way = walk_trusted(fs::path(path).parent_path().string()); !way)
    return fail(std::move(way));
  auto fd = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) return fail(std::move(fd));
  if (auto trusted = check_trusted_file(fd->get(), path); !trusted) return fail(std::move(trusted));
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return fail_os(errno, "looking at " + path);
  if (static_cast<std::uint64_t>(info.st_size) > limit)
    return fail(ErrorCode::kBadData, fmt::format("{} is larger than {} bytes", path, limit));
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  if (auto read = read_exactly_at(fd->get(), std::as_writable_bytes(std::span(text)), 0, path);
      !read)
    return fail(std::move(read));
  return text;
}

}  // namespace hadump
