// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/held_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <span>

#include "core/base/file.h"
#include "core/base/file_lock.h"

namespace hadump {
namespace {

constexpr int kMaxNames = 8;  // Of 2^64: the second is never needed.

struct Temporary {
  HeldFile file;
  UniqueFd fd;
};

/// Nobody can know the name beforehand and put a link there.
Result<Temporary> create_temporary(const HeldFile& beside, unsigned mode) {
  for (int i = 0; i < kMaxNames; ++i) {
    std::uint64_t random = 0;
    if (::getentropy(&random, sizeof(random)) != 0) return fail_os(errno, "naming a file");
    const HeldFile file = beside.beside(fmt::format("{}.{:016x}.tmp", beside.name(), random));
    auto fd = file.open(O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd) return Temporary{file, std::move(*fd)};
    if (fd.error().os_errno() != EEXIST) return fail(std::move(fd));
  }
  return fail_os(EEXIST, "finding a free name beside " + beside.path());
}

}  // namespace

HeldFile::HeldFile(UniqueFd directory, std::string path)
    : HeldFile(std::make_shared<const UniqueFd>(std::move(directory)), std::move(path)) {}

Result<HeldFile> HeldFile::at(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  auto directory = open_file(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY);
  if (!directory) return fail(std::move(directory));
  return HeldFile(std::move(*directory), path);
}

HeldFile HeldFile::beside(const std::string& name) const {
  return {directory_, std::filesystem::path(path_).replace_filename(name).string()};
}

std::string HeldFile::name() const {
  return std::filesystem::path(path_).filename().string();
}

Result<UniqueFd> HeldFile::open(int flags, unsigned mode) const {
  UniqueFd fd(::openat(directory_->get(), name().c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return fail_os(errno, "opening " + path_);
  return fd;
}

bool HeldFile::exists() const {
  struct stat info {};
  return ::fstatat(directory_->get(), name().c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

bool HeldFile::is(int fd) const {
  struct stat mine {};
  struct stat named {};
  return ::fstat(fd, &mine) == 0 &&
         ::fstatat(directory_->get(), name().c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

Result<> HeldFile::rename_to(const std::string& name) const {
  const int at = directory_->get();
  if (::renameat(at, this->name().c_str(), at, name.c_str()) != 0)
    return fail_os(errno, "renaming " + path_);
  return {};
}

Result<> HeldFile::rename_to_new(const std::string& name) const {
  const int at = directory_->get();
  const std::string old = this->name();
  if (::renameat2(at, old.c_str(), at, name.c_str(), RENAME_NOREPLACE) == 0) return {};
  // Some file systems (NFS, FUSE) do not know RENAME_NOREPLACE; link() refuses just as well.
  if (errno == EINVAL && ::linkat(at, old.c_str(), at, name.c_str(), 0) == 0) {
    static_cast<void>(::unlinkat(at, old.c_str(), 0));  // A second name does no harm.
    return {};
  }
  return fail_os(errno, fmt::format("renaming {} to {}", path_, beside(name).path()));
}

Result<> HeldFile::remove() const {
  if (::unlinkat(directory_->get(), name().c_str(), 0) != 0)
    return fail_os(errno, "removing " + path_);
  return {};
}

std::string HeldFile::path_through_proc() const {
  return fmt::format("/proc/self/fd/{}/{}", directory_->get(), name());
}

Result<> HeldFile::replace(std::string_view content, unsigned mode) const {
  if (auto done = put(content, mode, true); !done) return done;
  return sync_directory();
}

Result<> HeldFile::replace_unsynced(std::string_view content, unsigned mode) const {
  return put(content, mode, false);
}

Result<> HeldFile::put(std::string_view content, unsigned mode, bool synced) const {
  auto temporary = create_temporary(*this, mode);
  if (!temporary) return fail(std::move(temporary));
  const auto& [file, fd] = *temporary;
  auto done = write_all(fd.get(), std::as_bytes(std::span(content)), file.path());
  if (done && synced && ::fsync(fd.get()) != 0) done = fail_os(errno, "syncing " + file.path());
  if (done) done = file.rename_to(name());
  if (!done) static_cast<void>(file.remove());  // The first error is the one to tell.
  return done;
}

Result<UniqueFd> HeldFile::replace_locked(std::string_view content, unsigned mode,
                                          bool only_new) const {
  auto temporary = create_temporary(*this, mode);
  if (!temporary) return fail(std::move(temporary));
  auto& [file, fd] = *temporary;
  auto done = lock_for_writing(fd.get(), file.path());
  if (done) done = write_all(fd.get(), std::as_bytes(std::span(content)), file.path());
  if (done && (::fcntl(fd.get(), F_SETFL, O_APPEND) != 0 || ::fsync(fd.get()) != 0))
    done = fail_os(errno, "syncing " + file.path());
  if (done) done = only_new ? file.rename_to_new(name()) : file.rename_to(name());
  if (!done) static_cast<void>(file.remove());  // The first error is the one to tell.
  if (done) done = sync_directory();
  if (!done) return fail(std::move(done));
  return std::move(fd);
}

Result<> HeldFile::sync_directory() const {
  if (::fsync(directory_->get()) != 0) return fail_os(errno, "syncing the directory of " + path_);
  return {};
}

// Declared in file.h, which nothing here may depend on the other way round.
Result<> write_file_atomically(const std::string& path, std::string_view content, unsigned mode) {
  const auto file = HeldFile::at(path);
  if (!file) return fail(Result<HeldFile>(file));
  return file->replace(content, mode);
}

std::vector<std::string> paths_of(const std::vector<HeldFile>& files) {
  std::vector<std::string> paths;
  paths.reserve(files.size());
  for (const HeldFile& file : files) paths.push_back(file.path());
  return paths;
}

}  // namespace hadump
