// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/startup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "core/base/file.h"
#include "core/base/text.h"
#include "hv/agent/retry_rules.h"

namespace hadump {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr unsigned kFreeStarts = 3;
constexpr seconds kLongestStartPause{10};
constexpr std::uint64_t kMaxCountBytes = 32;

}  // namespace

bool may_go_away(const Error& error) {
  return error.os_errno() != EACCES && error.os_errno() != EPERM;
}

bool ended_during(milliseconds time, const UniqueFd& signals) {
  const auto end = std::chrono::steady_clock::now() + time;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    pollfd fd{signals.get(), POLLIN, 0};
    if (left.count() <= 0 || poll(&fd, 1, static_cast<int>(left.count()) + 1) == 0) return false;
    signalfd_siginfo info{};
    if (read(signals.get(), &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGHUP)
      return true;
  }
}

Result<bool> open_patiently(const std::function<Result<>()>& open, const UniqueFd& signals) {
  for (unsigned attempts = 1;; ++attempts) {
    auto done = open();
    if (done) {
      if (attempts > 1) spdlog::info("Xen answers now");
      return true;
    }
    if (!may_go_away(done.error())) return fail(std::move(done));
    if (attempts == 1) spdlog::warn("{}; waiting until Xen answers", done.error().what());
    // Not under systemd: no error. It would end a service that has not started within its time.
    static_cast<void>(sd_notify(
        0, fmt::format("READY=1\nSTATUS=Waiting for Xen: {}", done.error().what()).c_str()));
    for (auto left = pause_after(attempts); left.count() > 0; left -= seconds(1)) {
      static_cast<void>(sd_notify(0, "WATCHDOG=1"));  // as above
      if (ended_during(seconds(1), signals)) return false;
    }
  }
}

seconds StartCount::begin() {
  const auto text = read_text_file(path_, kMaxCountBytes);
  const auto before = text ? parse_decimal(*text) : Result<std::uint64_t>(0);
  const auto bad = static_cast<unsigned>(std::min<std::uint64_t>(before.value_or(0), 1000));
  const std::string now = std::to_string(bad + 1);
  // Without the count the pause is too short, nothing else.
  if (auto file = open_file(path_, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600); file)
    static_cast<void>(write_all(file->get(), std::as_bytes(std::span(now)), path_));
  if (bad < kFreeStarts) return seconds(0);
  return std::min(std::chrono::duration_cast<seconds>(pause_after(bad - kFreeStarts + 1)),
                  kLongestStartPause);
}

void StartCount::settled() {
  if (settled_) return;
  settled_ = true;
  static_cast<void>(std::remove(path_.c_str()));  // none: it is as it should be
}

}  // namespace hadump
