// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/dump_lock.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

namespace hadump {

tl::expected<std::optional<SaveLock>, SaveFailure> lock_dump(const SaveSeams& seams,
                                                             const std::string& to, bool wait,
                                                             SaveReporter& reporter) {
  using Reason = SaveFailure::Reason;
  if (!seams.dump || seams.state_dir.empty()) return std::nullopt;
  const std::string path = fmt::format("{}/{}.lock", seams.state_dir, seams.dump->dump_id);
  const std::string holder =
      fmt::format("process {} ({}), to {}", ::getpid(), ::program_invocation_short_name, to);
  const auto on_wait = [&reporter](const std::string& who) {
    reporter.info(who + "; waiting for it");
  };
  auto lock =
      wait ? SaveLock::wait(path, holder, on_wait, seams.cancelled) : SaveLock::take(path, holder);
  if (lock) return std::optional(std::move(*lock));
  if (lock.error().code() == ErrorCode::kBusy)
    return tl::unexpected(SaveFailure{std::move(lock).error(), Reason::kLocked, {}});
  if (lock.error().code() == ErrorCode::kCancelled)
    return tl::unexpected(SaveFailure{std::move(lock).error(), Reason::kError, {}});
  reporter.warn(fmt::format("cannot lock the dump against a second save: {}, continuing",
                            lock.error().what()));
  return std::nullopt;
}

}  // namespace hadump
