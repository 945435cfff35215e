// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/trusted_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
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

/// Whether more is known of who may do what than owner, group and mode say. A POSIX ACL, which also
/// may be one for what is made in a directory, turns the group's bits into the most that it allows
/// to anybody (acl(5)). Of NFSv4's every file has one, and the server makes the group's bits of it
/// in its own way (RFC 8881, 6.3.1).
/// @param fd  may be open with O_PATH, which fgetxattr(2) does not take.
bool has_acl(int fd) {
  const std::string path = fmt::format("/proc/self/fd/{}", fd);
  for (const char* name :
       {"system.posix_acl_access", "system.posix_acl_default", "system.nfs4_acl"}) {
    if (::getxattr(path.c_str(), name, nullptr, 0) >= 0) return true;
    if (errno != ENODATA && errno != EOPNOTSUPP) return true;  // Nobody can tell.
  }
  return false;
}

/// Without the group's right to write, an ACL gives nobody that right either: of a POSIX ACL the
/// kernel sees to it, and that of an NFSv4 server is taken at the word of the mode.
bool others_can_write(int fd, const struct stat& info) {
  if ((info.st_mode & S_IWOTH) != 0) return true;
  if ((info.st_mode & S_IWGRP) == 0) return false;
  return info.st_gid != 0 || has_acl(fd);
}

std::string rights_text(const struct stat& info) {
  const bool by_acl = (info.st_mode & S_IWOTH) == 0 && info.st_gid == 0;
  return fmt::format("mode {:04o}, group {}{}", info.st_mode & 07777U, info.st_gid,
                     by_acl ? ", with an access control list" : "");
}

Result<> check_trusted(int fd, const struct stat& info, const std::string& path) {
  if (!is_ours(info))
    return fail(ErrorCode::kBadData, fmt::format("{} belongs to user {}", path, info.st_uid));
  const bool is_link = S_ISLNK(info.st_mode);  // Its mode says nothing.
  const bool is_sticky = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
  if (!is_link && !is_sticky && others_can_write(fd, info))
    return fail(ErrorCode::kBadData,
                fmt::format("{} can be changed by others ({})", path, rights_text(info)));
  return {};
}

using Names = std::list<std::string>;

Names names_in(const fs::path& path) {
  Names names;
  for (const fs::path& name : path.relative_path())
    if (!name.empty() && name != ".") names.push_back(name.string());
  return names;
}

/// The walk: where it is, held open, and what is left of the way. What is looked at is what is gone
/// through, whatever happens to the names meanwhile.
class Walk {
 public:
  static Result<Walk> begin(const std::string& path);

  /// One name further. False at the end of what exists.
  Result<bool> step();
  /// As far as there is something.
  Result<> to_the_end();

  const std::string& directory() const { return at_; }
  const struct stat& info() const { return info_; }
  bool others_can_write_to_it() const { return others_can_write(fd_.get(), info_); }
  bool is_at_the_end() const { return todo_.empty(); }
  /// What comes next. @pre !is_at_the_end().
  const std::string& next() const { return todo_.front(); }

  /// Where it is, to read and to sync.
  Result<UniqueFd> open() const;
  Result<> make_next() const;

 private:
  explicit Walk(const std::string& path) : todo_(names_in(path)) {}
  Result<> enter(UniqueFd fd, const std::string& path);
  Result<> follow(const UniqueFd& link, const std::string& path);

  UniqueFd fd_;
  struct stat info_ {};
  std::string at_ = "/";
  Names todo_;
  int links_ = 0;
};

Result<Walk> Walk::begin(const std::string& path) {
  Walk walk(path);
  auto root = open_file("/", O_PATH | O_DIRECTORY);
  if (!root) return fail(std::move(root));
  if (auto entered = walk.enter(std::move(*root), "/"); !entered) return fail(std::move(entered));
  return walk;
}

Result<> Walk::enter(UniqueFd fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_os(errno, "looking at " + path);
  if (auto trusted = check_trusted(fd.get(), info, path); !trusted) return trusted;
  if (S_ISLNK(info.st_mode)) return follow(fd, path);
  fd_ = std::move(fd);
  info_ = info;
  at_ = path;
  return {};
}

Result<> Walk::follow(const UniqueFd& link, const std::string& path) {
  if (++links_ > kMaxLinks) return fail_os(ELOOP, "following " + path);
  char text[PATH_MAX];
  const ssize_t length = ::readlinkat(link.get(), "", text, sizeof(text));
  if (length < 0) return fail_os(errno, "following " + path);
  const fs::path target(std::string(text, static_cast<std::size_t>(length)));
  todo_.splice(todo_.begin(), names_in(target));
  if (target.is_relative()) return {};
  auto root = open_file("/", O_PATH | O_DIRECTORY);
  if (!root) return fail(std::move(root));
  return enter(std::move(*root), "/");
}

Result<bool> Walk::step() {
  if (todo_.empty()) return false;
  const bool is_up = todo_.front() == "..";
  const std::string next =
      is_up ? fs::path(at_).parent_path().string() : (fs::path(at_) / todo_.front()).string();
  UniqueFd fd(::openat(fd_.get(), todo_.front().c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && errno == ENOENT) return false;
  if (!fd) return fail_os(errno, "looking at " + next);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_os(errno, "looking at " + next);
  if (!S_ISLNK(info.st_mode) && !S_ISDIR(info.st_mode)) return false;
  todo_.pop_front();
  if (auto entered = enter(std::move(fd), next); !entered) return fail(std::move(entered));
  return true;
}

Result<> Walk::to_the_end() {
  for (;;) {
    const auto more = step();
    if (!more) return fail(Result<bool>(more));
    if (!*more) return {};
  }
}

Result<UniqueFd> Walk::open() const {
  UniqueFd fd(::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_os(errno, "opening " + at_);
  return fd;
}

Result<> Walk::make_next() const {
  const std::string path = (fs::path(at_) / next()).string();
  // EEXIST: somebody was faster, or it is not a directory. The next step looks at it.
  if (::mkdirat(fd_.get(), next().c_str(), 0700) != 0 && errno != EEXIST)
    return fail_os(errno, "creating the directory " + path);
  auto here = open();
  if (!here) return fail(std::move(here));
  if (::fsync(here->get()) != 0) return fail_os(errno, "syncing " + at_);
  return {};
}

/// Goes to `path` and makes what is missing.
Result<Walk> make_own(const std::string& path) {
  auto walk = Walk::begin(path);
  if (!walk) return walk;
  for (;;) {
    if (auto gone = walk->to_the_end(); !gone) return fail(std::move(gone));
    if (walk->is_at_the_end()) break;
    const std::string wanted = (fs::path(walk->directory()) / walk->next()).string();
    if (auto made = walk->make_next(); !made) return fail(std::move(made));
    const auto further = walk->step();
    if (!further) return fail(Result<bool>(further));
    if (!*further) return fail_os(ENOTDIR, "creating the directory " + wanted);
  }
  if (walk->others_can_write_to_it())
    return fail(ErrorCode::kBadData, fmt::format("{} is a directory that others can write to ({})",
                                                 path, rights_text(walk->info())));
  return walk;
}

Result<HeldFile> hold(const Walk& walk, const std::string& path) {
  auto directory = walk.open();
  if (!directory) return fail(std::move(directory));
  return HeldFile(std::move(*directory), path);
}

std::string parent_of(const std::string& path) {
  return fs::path(path).parent_path().string();
}

}  // namespace

Result<std::string> walk_trusted(const std::string& path) {
  auto walk = Walk::begin(path);
  if (!walk) return fail(std::move(walk));
  if (auto gone = walk->to_the_end(); !gone) return fail(std::move(gone));
  return walk->directory();
}

Result<HeldFile> hold_trusted(const std::string& path) {
  auto walk = Walk::begin(parent_of(path));
  if (!walk) return fail(std::move(walk));
  if (auto gone = walk->to_the_end(); !gone) return fail(std::move(gone));
  if (!walk->is_at_the_end()) return fail_os(ENOENT, "opening the directory of " + path);
  return hold(*walk, path);
}

Result<> make_own_directory(const std::string& path) {
  auto walk = make_own(path);
  if (!walk) return fail(std::move(walk));
  return {};
}

Result<HeldFile> hold_in_own_directory(const std::string& path) {
  auto walk = make_own(parent_of(path));
  if (!walk) return fail(std::move(walk));
  return hold(*walk, path);
}

Result<> check_trusted_file(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail_os(errno, "looking at " + path);
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::kBadData, path + " is not a regular file");
  if (info.st_nlink > 1) return fail(ErrorCode::kBadData, path + " has another name as well");
  return check_trusted(fd, info, path);
}

Result<> check_trusted_program(const std::string& path) {
  auto directory = walk_trusted(path);
  if (!directory) return fail(std::move(directory));
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  const UniqueFd fd(error ? -1 : ::open(real.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (real.parent_path() != *directory || ::fstat(fd.get(), &info) != 0)
    return fail(ErrorCode::kBadData, path + " is not there, or changes");
  return check_trusted(fd.get(), info, real.string());
}

Result<std::string> read_trusted_text_file(const HeldFile& file, std::uint64_t limit) {
  const std::string& path = file.path();
  auto fd = file.open(O_RDONLY | O_NONBLOCK);
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

Result<std::string> read_trusted_text_file(const std::string& path, std::uint64_t limit) {
  const auto file = hold_trusted(path);
  if (!file) return fail(Result<HeldFile>(file));
  return read_trusted_text_file(*file, limit);
}

}  // namespace hadump
