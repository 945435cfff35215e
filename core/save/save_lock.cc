// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/save_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

#include "core/base/printable.h"
#include "core/base/trusted_path.h"

namespace hadump {
namespace {

constexpr std::size_t kMaxHolder = 1024;
constexpr auto kPollInterval = std::chrono::milliseconds(200);

std::string holder_of(int fd) {
  char text[kMaxHolder];
  const ssize_t got = ::pread(fd, text, sizeof(text), 0);
  if (got <= 0) return "an unknown process";
  std::string_view line(text, static_cast<std::size_t>(got));
  return printable(line.substr(0, line.find('\n')));
}

/// Whether `path` still names the file: the last holder may have removed it meanwhile.
bool is_current(int fd, const std::string& path) {
  struct stat mine {};
  struct stat named {};
  return ::fstat(fd, &mine) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

Result<UniqueFd> open_lock_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600));
  if (!fd) return fail_os(errno, "opening " + path);
  if (auto ours = check_trusted_file(fd.get(), path); !ours) return fail(std::move(ours));
  return fd;
}

/// Nothing when the file was removed meanwhile, and another attempt is needed.
Result<std::optional<UniqueFd>> try_lock(const std::string& path) {
  auto fd = open_lock_file(path);
  if (!fd) return fail(std::move(fd));
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_os(errno, "locking " + path);
    return fail(ErrorCode::kBusy, "this dump is already being saved by " + holder_of(fd->get()));
  }
  if (!is_current(fd->get(), path)) return std::nullopt;
  return std::optional(std::move(*fd));
}

}  // namespace

Result<SaveLock> SaveLock::take(const std::string& path, std::string_view holder) {
  if (auto made = make_own_directory(std::filesystem::path(path).parent_path().string()); !made)
    return fail(std::move(made));
  for (;;) {
    auto fd = try_lock(path);
    if (!fd) return fail(std::move(fd));
    if (!*fd) continue;
    // For messages only: a full disk does not matter.
    const std::string line = fmt::format("{}\n", holder.substr(0, kMaxHolder - 1));
    static_cast<void>(::ftruncate((*fd)->get(), 0));
    static_cast<void>(::pwrite((*fd)->get(), line.data(), line.size(), 0) < 0);
    return SaveLock(path, std::move(**fd));
  }
}

Result<SaveLock> SaveLock::wait(const std::string& path, std::string_view holder,
                                const std::function<void(const std::string& who)>& on_wait,
                                const std::function<bool()>& cancelled) {
  for (bool first = true;; first = false) {
    auto lock = take(path, holder);
    if (lock || lock.error().code() != ErrorCode::kBusy) return lock;
    if (first && on_wait) on_wait(lock.error().what());
    if (cancelled && cancelled()) return fail(ErrorCode::kCancelled, "waiting for another save");
    std::this_thread::sleep_for(kPollInterval);
  }
}

SaveLock::~SaveLock() {
  // While it is held: whoever takes the name from here on makes a new file.
  if (fd_) static_cast<void>(::unlink(path_.c_str()));
}

}  // namespace hadump
