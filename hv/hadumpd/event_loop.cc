// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/event_loop.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <new>
#include <utility>
#include <vector>

#include "hv/hadumpd/requests.h"

namespace hadump {
namespace {

// Events say when to look; this is for what no event tells of, such as an attempt that is due.
constexpr std::chrono::milliseconds kLookAtLeastEvery{1000};
// While a client waits for what the guests say.
constexpr std::chrono::milliseconds kServeAgainAfter{50};
constexpr std::chrono::milliseconds kAfterAnError{1000};
// One that has lived so long does not end at once again.
constexpr std::chrono::seconds kSettledAfter{10};

}  // namespace

Result<UniqueFd> take_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  if (const int error = pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0)
    return fail_os(error, "blocking signals");
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC));
  if (!fd) return fail_os(errno, "opening a signalfd");
  return fd;
}

void EventLoop::run() {
  Requests requests(parts_.caretaker, parts_.jobs, parts_.guests, parts_.streams.keeper());
  static_cast<void>(sd_notify(0, "READY=1\nSTATUS="));  // not under systemd: no error
  const auto began = std::chrono::steady_clock::now();
  while (!stopping_) {
    static_cast<void>(sd_notify(0, "WATCHDOG=1"));  // as above
    auto done = round_or_error(requests);
    if (!done) {
      spdlog::error("{}, continuing", done.error().what());
      stopping_ = stopping_ || ended_during(kAfterAnError, parts_.signals);
    }
    if (std::chrono::steady_clock::now() - began > kSettledAfter) parts_.starts.settled();
  }
  static_cast<void>(sd_notify(0, "STOPPING=1"));  // as above
}

// The daemon has no memory to lose: what a round has left half done, the next one looks at again.
Result<> EventLoop::round_or_error(Requests& requests) try {
  return round(requests);
} catch (const std::bad_alloc&) {
  parts_.caretaker.reconsider();
  return fail_os(ENOMEM, "looking after the domains");
} catch (const std::exception& e) {
  parts_.caretaker.reconsider();
  return fail(ErrorCode::kOs, fmt::format("looking after the domains: {}", e.what()));
}

Result<> EventLoop::round(Requests& requests) {
  if (const std::string slow = clock_.next_round(); !slow.empty()) spdlog::info("{}", slow);
  look();
  std::vector<pollfd> fds = {{parts_.signals.get(), POLLIN, 0}, {parts_.wakeup.fd(), POLLIN, 0}};
  parts_.server.add_to(fds);
  const auto timeout = parts_.server.has_open_query() ? kServeAgainAfter : kLookAtLeastEvery;
  if (auto done = parts_.watcher.wait(fds, timeout); !done) return fail(std::move(done));
  clock_.ended("events", timeout);
  if ((fds[0].revents & POLLIN) != 0) take_signal();
  parts_.server.serve([&](StatusServer::Query& query) { return requests.answer(query); });
  clock_.ended("clients");
  return {};
}

void EventLoop::look() {
  parts_.wakeup.clear();
  parts_.jobs.collect();
  clock_.ended("jobs");
  parts_.caretaker.heard(parts_.guests.heard());
  clock_.ended("guests");
  if (auto done = parts_.caretaker.look_around(); !done) spdlog::error("{}", done.error().what());
  clock_.ended("domains");
  parts_.guests.follow(parts_.caretaker.listened_to());
  parts_.streams.look(parts_.caretaker.stream_guests(), parts_.caretaker.stream_limits());
  clock_.ended("streams");
}

void EventLoop::take_signal() {
  signalfd_siginfo info{};
  if (read(parts_.signals.get(), &info, sizeof(info)) != sizeof(info)) return;
  if (info.ssi_signo == SIGHUP)
    read_configuration();
  else
    stopping_ = true;
}

void EventLoop::read_configuration() {
  auto policies = read_policies(parts_.options.config, parts_.options.config_given);
  if (!policies) {
    spdlog::error("{}; keeping the old configuration", policies.error().what());
    return;
  }
  parts_.caretaker.set_policies(std::move(*policies));
  parts_.caretaker.reconsider();
  spdlog::info("configuration read again");
}

}  // namespace hadump
