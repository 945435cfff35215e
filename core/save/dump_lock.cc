// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/dump_lock.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <thread>

namespace hadump {
namespace {

using OnWait = std::function<void(const std::string& who)>;
constexpr auto kInterfacePollInterval = std::chrono::milliseconds(200);

Result<SaveLock> lock_file(const SaveSeams& seams, const std::string& to, bool wait,
                           const OnWait& on_wait) {
  if (seams.state_dir.empty()) return fail(ErrorCode::kUnsupported, "no directory for its file");
  const std::string path = fmt::format("{}/{}.lock", seams.state_dir, seams.dump->dump_id);
  const std::string holder =
      fmt::format("process {} ({}), to {}", ::getpid(), ::program_invocation_short_name, to);
  return wait ? SaveLock::wait(path, holder, on_wait, seams.cancelled)
              : SaveLock::take(path, holder);
}

Result<UniqueFd> lock_interface(const SaveSeams& seams, bool wait, const OnWait& on_wait) {
  if (seams.releaser == nullptr) return fail(ErrorCode::kUnsupported, "nothing is to be released");
  for (bool first = true;; first = false) {
    auto fd = seams.releaser->lock();
    if (fd || !wait || fd.error().code() != ErrorCode::kBusy) return fd;
    if (first) on_wait(fd.error().what());
    if (seams.cancelled && seams.cancelled())
      return fail(ErrorCode::kCancelled, "waiting for another save");
    std::this_thread::sleep_for(kInterfacePollInterval);
  }
}

/// Whether the save must not go on, with or without another lock.
std::optional<SaveFailure> why_not(const Error& error) {
  using Reason = SaveFailure::Reason;
  if (error.code() == ErrorCode::kBusy) return SaveFailure{error, Reason::kLocked, {}};
  if (error.code() == ErrorCode::kCancelled) return SaveFailure{error, Reason::kError, {}};
  return std::nullopt;
}

SaveFailure no_lock(const Error& of_file, const Error& of_interface) {
  // ENOLCK is a shortage (shortage.h): after other failures a boot script may be told to give the
  // dump up, and nothing is wrong with it.
  return {Error::os(ENOLCK, fmt::format("memory is released only under a lock that keeps other "
                                        "savers out, and none can be had: {}; {}. Nothing was "
                                        "changed; --no-release saves without one",
                                        of_file.what(), of_interface.what())),
          SaveFailure::Reason::kError,
          {}};
}

}  // namespace

std::vector<int> DumpLock::fds() const {
  std::vector<int> fds;
  if (file_) fds.push_back(file_->fd());
  if (interface_) fds.push_back(interface_.get());
  return fds;
}

tl::expected<DumpLock, SaveFailure> lock_dump(const SaveSeams& seams, const std::string& to,
                                              bool wait, bool releases, SaveReporter& reporter) {
  if (!seams.dump) return DumpLock();
  const OnWait on_wait = [&reporter](const std::string& who) {
    reporter.info(who + "; waiting for it");
  };
  auto file = lock_file(seams, to, wait, on_wait);
  if (!file)
    if (auto failure = why_not(file.error())) return tl::unexpected(std::move(*failure));
  auto interface = lock_interface(seams, wait, on_wait);
  if (!interface)
    if (auto failure = why_not(interface.error())) return tl::unexpected(std::move(*failure));
  const bool is_over = !interface && interface.error().code() == ErrorCode::kNotFound;
  if (!file && !interface && releases && !is_over)
    return tl::unexpected(no_lock(file.error(), interface.error()));
  if (!file && !seams.state_dir.empty())
    reporter.warn(fmt::format("cannot lock the dump by a file: {}, continuing{}",
                              file.error().what(),
                              interface ? " with the lock of its interface" : " without a lock"));
  return DumpLock(file ? std::optional(std::move(*file)) : std::nullopt,
                  interface ? std::move(*interface) : UniqueFd());
}

}  // namespace hadump
