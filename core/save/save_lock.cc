// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/save_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
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

Result<UniqueFd> open_lock_file(const HeldFile& file) {
  auto fd = file.open(O_RDWR | O_CREAT | O_NONBLOCK, 0600);
  if (!fd) return fd;
  if (auto ours = check_trusted_file(fd->get(), file.path()); !ours) return fail(std::move(ours));
  return fd;
}

/// Nothing when the file was removed meanwhile, and another attempt is needed.
Result<std::optional<UniqueFd>> try_lock(const HeldFile& file) {
  auto fd = open_lock_file(file);
  if (!fd) return fail(std::move(fd));
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_os(errno, "locking " + file.path());
    return fail(ErrorCode::kBusy, "this dump is already being saved by " + holder_of(fd->get()));
  }
  // The last holder may have removed it meanwhile.
  if (!file.is(fd->get())) return std::nullopt;
  return std::optional(std::move(*fd));
}

}  // namespace

Result<SaveLock> SaveLock::take(const std::string& path, std::string_view holder) {
  auto file = hold_in_own_directory(path);
  if (!file) return fail(std::move(file));
  for (;;) {
    auto fd = try_lock(*file);
    if (!fd) return fail(std::move(fd));
    if (!*fd) continue;
    // For messages only: a full disk does not matter.
    const std::string line = fmt::format("{}\n", holder.substr(0, kMaxHolder - 1));
    static_cast<void>(::ftruncate((*fd)->get(), 0));
    static_cast<void>(::pwrite((*fd)->get(), line.data(), line.size(), 0) < 0);
    return SaveLock(std::move(*file), std::move(**fd));
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
  if (fd_) static_cast<void>(file_.remove());
}

}  // namespace hadump
