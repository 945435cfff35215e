// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "core/base/text.h"
#include "hv/domain/domid.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/hadumpd/status_json.h"
#include "hv/hadumpd/status_socket.h"
#include "hv/xen/xen_watcher.h"

namespace hadump {
namespace {

// Events say when to look; this is for what no event tells of, such as a guest's progress.
constexpr std::chrono::milliseconds kLookAtLeastEvery{1000};

// For tests: longer than any of them.
constexpr unsigned kHungSeconds = 24 * 3600;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<UniqueFd> block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  if (const int error = pthread_sigmask(SIG_BLOCK, &signals, nullptr); error != 0)
    return fail_os(error, "blocking signals");
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC));
  if (!fd) return fail_os(errno, "opening a signalfd");
  return fd;
}

std::string error_answer(const Error& error) {
  return nlohmann::json{{"ok", false}, {"error", error.what()}}.dump(
             -1, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

std::string answer_to(const std::string& request, Caretaker& caretaker) {
  const auto json = nlohmann::json::parse(request, nullptr, /*allow_exceptions=*/false);
  const auto bad = Error(ErrorCode::kBadData, "malformed request");
  if (!json.is_object() || !json.contains("command")) return error_answer(bad);
  if (json["command"] == "list") return to_json(caretaker.views());
  if (json["command"] == "trigger" && json.contains("domid") &&
      json["domid"].is_number_unsigned()) {
    auto domid = checked_domid(json["domid"].get<std::uint64_t>());
    if (!domid) return error_answer(domid.error());
    if (auto done = caretaker.trigger(*domid); !done) return error_answer(done.error());
    return to_json(caretaker.views());
  }
  return error_answer(bad);
}

class Daemon {
 public:
  Daemon(const DaemonOptions& options, Caretaker& caretaker, XenWatcher watcher,
         StatusSocket socket, UniqueFd signals)
      : options_(options),
        caretaker_(caretaker),
        watcher_(std::move(watcher)),
        socket_(std::move(socket)),
        signals_(std::move(signals)) {}

  Result<> run() {
    static_cast<void>(sd_notify(0, "READY=1"));  // not under systemd: no error
    while (!stopping_) {
      if (auto done = caretaker_.look_around(); !done) spdlog::error("{}", done.error().what());
      for (unsigned domid : caretaker_.take_restarted()) watcher_.follow_again(domid);
      watcher_.follow(caretaker_.wards());
      std::vector<pollfd> fds = {{signals_.get(), POLLIN, 0}, {socket_.fd(), POLLIN, 0}};
      if (auto done = watcher_.wait(fds, kLookAtLeastEvery); !done) return fail(std::move(done));
      if ((fds[0].revents & POLLIN) != 0) take_signal();
      if ((fds[1].revents & POLLIN) != 0)
        socket_.serve(
            [this](const std::string& request) { return answer_to(request, caretaker_); });
    }
    static_cast<void>(sd_notify(0, "STOPPING=1"));  // as above
    return {};
  }

 private:
  void take_signal() {
    signalfd_siginfo info{};
    if (read(signals_.get(), &info, sizeof(info)) != sizeof(info)) return;
    if (info.ssi_signo != SIGHUP) {
      stopping_ = true;
      return;
    }
    auto policies = read_policies(options_.config, options_.config_given);
    if (!policies) {
      spdlog::error("{}; keeping the old configuration", policies.error().what());
      return;
    }
    caretaker_.set_policies(std::move(*policies));
    caretaker_.reconsider();
    spdlog::info("configuration read again");
  }

  const DaemonOptions& options_;
  Caretaker& caretaker_;
  XenWatcher watcher_;
  StatusSocket socket_;
  UniqueFd signals_;
  bool stopping_ = false;
};

Result<> make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail_os(error.value(), "creating " + path);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  return {};
}

// Two of us would both see to the same crash, and destroy what they mean to save.
Result<UniqueFd> lock_state(const std::string& directory) {
  const std::string path = directory + "/lock";
  auto file = open_file(path, O_RDWR | O_CREAT, 0600);
  if (!file) return file;
  if (flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return fail(ErrorCode::kBusy,
                  "another hadumpd is already running (it has locked " + path + ")");
    return fail_os(errno, "locking " + path);
  }
  return file;
}

// What we were killed over would otherwise stay for ever: nobody starts it, and its memory is the
// host's. A failure is no reason not to look after the others.
void destroy_leftover_twins(const Toolstack& toolstack, const TwinMark& mark) {
  auto twins = toolstack.destroy_leftover_twins(mark);
  if (!twins)
    spdlog::warn("destroying leftovers of an earlier hadumpd: {}, continuing",
                 twins.error().what());
  else
    for (unsigned domid : *twins)
      spdlog::info("domain {}: destroyed; an earlier hadumpd had created it for its ACPI tables",
                   domid);
}

Result<TwinMark> mark_of(const std::string& state_directory) {
  struct stat info {};
  if (stat(state_directory.c_str(), &info) != 0)
    return fail_os(errno, "looking at " + state_directory);
  return twin_mark(info.st_dev, info.st_ino);
}

// Handles of its own each time: it is rare, and no two threads then share one.
Result<AcpiTables> make_acpi_tables(XenLog& log, unsigned domid, const std::string& run_directory,
                                    const TwinMark& mark, const std::function<void()>& made) {
  auto handles = XenHandles::open(log);
  if (!handles) return fail(std::move(handles));
  auto libxl = open_libxl(log);
  if (!libxl) return fail(std::move(libxl));
  return Toolstack(libxl->get(), *handles)
      .pristine_acpi_tables(domid, run_directory + "/twin-kernel", mark, made);
}

}  // namespace

Result<> run_daemon(const DaemonOptions& options, PolicyTable policies) {
  // Before any thread is made, so that all of them have the signals blocked.
  auto signals = block_signals();
  if (!signals) return fail(std::move(signals));
  for (const std::string& path : {options.state_directory, options.run_directory})
    if (auto done = make_directory(path); !done) return done;

  auto lock = lock_state(options.state_directory);
  if (!lock) return fail(std::move(lock));

  XenLog log([](const std::string& line) { spdlog::debug("{}", line); });
  auto handles = XenHandles::open(log);
  if (!handles) return fail(std::move(handles));
  auto libxl = open_libxl(log);
  if (!libxl) return fail(std::move(libxl));
  auto mark = mark_of(options.state_directory);
  if (!mark) return fail(std::move(mark));
  destroy_leftover_twins(Toolstack(libxl->get(), *handles), *mark);
  StateDirectory states(options.state_directory, environment("HADUMP_KILL_AT"));
  const auto twin_made = [hangs = environment("HADUMP_HANG_AT") == "twin-made"] {
    if (hangs) sleep(kHungSeconds);  // as libxl could
  };
  StallWatch twin_stalls([](const std::string& line) {
    spdlog::warn("{}. If the domain crashes now, its reboot waits for this", line);
  });
  Preparer preparer(
      {options.state_directory + "/cache", options.run_directory},
      [&](unsigned domid) {
        const WatchedWork work(
            twin_stalls, fmt::format("domain {}: creating its ACPI tables with libxl", domid));
        return make_acpi_tables(log, domid, options.run_directory, *mark, twin_made);
      },
      [](const std::string& line) { spdlog::warn("{}, continuing", line); });
  StallWatch stalls([](const std::string& line) {
    spdlog::warn("{}. No other domain is handled until this finishes", line);
  });
  Caretaker caretaker(*handles, libxl->get(), states, preparer, stalls,
                      options.state_directory + "/cores");
  caretaker.set_policies(std::move(policies));
  if (auto done = caretaker.load(); !done) return done;

  if (!options.once.empty()) {
    auto domid = parse_decimal(options.once).and_then(checked_domid);
    if (!domid) return fail(std::move(domid), "--once");
    return caretaker.rescue(*domid);
  }
  auto watcher = XenWatcher::create(libxl->get());
  if (!watcher) return fail(std::move(watcher));
  auto socket = StatusSocket::listen(options.run_directory + "/hadumpd.sock");
  if (!socket) return fail(std::move(socket));
  spdlog::info("hadumpd runs");
  return Daemon(options, caretaker, std::move(*watcher), std::move(*socket), std::move(*signals))
      .run();
}

}  // namespace hadump
