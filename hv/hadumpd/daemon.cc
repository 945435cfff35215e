// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/daemon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/base/trusted_path.h"
#include "hv/domain/domid.h"
#include "hv/hadumpd/capture_book.h"
#include "hv/hadumpd/capturer.h"
#include "hv/hadumpd/caretaker.h"
#include "hv/hadumpd/clocks.h"
#include "hv/hadumpd/event_loop.h"
#include "hv/hadumpd/late_writer.h"
#include "hv/hadumpd/startup.h"
#include "hv/hadumpd/stream_side.h"
#include "hv/hadumpd/thread_jobs.h"
#include "hv/hadumpd/twin_tables.h"
#include "hv/xen/xen_guest_store.h"
#include "hv/xen/xen_host.h"
#include "hv/xen/xen_watcher.h"

namespace hadump {
namespace {

constexpr std::chrono::seconds kPauseBesideAnother{10};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Two of us would both handle the same crash, and destroy what they mean to save.
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

// Empty when nobody knows: records and captures then belong to any boot.
std::string host_boot_id() {
  constexpr std::uint64_t kMaxBootId = 64;
  auto text = read_text_file("/proc/sys/kernel/random/boot_id", kMaxBootId);
  if (!text) return "";
  if (text->ends_with('\n')) text->pop_back();
  return *text;
}

// Ends the process when its threads do not end in time: a call that hangs in one of them cannot be
// taken back, and the next hadumpd finishes what this one leaves. Shorter than TimeoutStopSec=.
void leave_in_time() try {
  static constexpr std::chrono::seconds kPatience{20};
  std::thread([] {
    std::this_thread::sleep_for(kPatience);
    spdlog::warn("exiting although a job is stuck; the next hadumpd will finish it");
    spdlog::default_logger()->flush();
    std::_Exit(0);
  }).detach();
} catch (const std::system_error&) {  // no thread: systemd has more patience, but not forever
}

// A thread of the observer's reads with this; the handle is its own.
GuestObserver::Read reader_of(XenHandles& handles) {
  return [&handles](unsigned domid, bool all) -> Result<GuestNews> {
    const XenGuestStore store(handles.store.get(), domid);
    return store.news(all);
  };
}

// --once.
Result<> rescue_one(const std::string& text, Host& host, const PolicyTable& policies,
                    RecordBook& book, const Rescuer& rescuer) {
  auto domid = parse_decimal(text).and_then(checked_domid);
  if (!domid) return fail(std::move(domid), "--once");
  auto open = host.open(*domid);
  if (!open) return fail(std::move(open));
  auto status = (*open)->domain().status();
  if (!status) return fail(std::move(status));
  auto record = book.find(status->uuid);
  auto ward = make_ward(host, {*status, policies, record});
  if (!ward) return fail(std::move(ward));
  if (!ward->note.empty()) return fail(ErrorCode::kUnsupported, ward->note);
  const bool unfinished = record && record->has_snapshot() && record->step != Step::kStarted;
  if (!status->crashed() && !unfinished)
    return fail(ErrorCode::kBusy, "the domain has not crashed");
  const CrashPolicy policy{.window_bytes = ward->policy.window_bytes,
                           .least_window_bytes = ward->policy.window_auto ? kLeastWindow : 0,
                           .mode = ward->policy.save_area,
                           .backend_deadline = ward->policy.backend_timeout,
                           .keep_free_bytes = policies.host().keep_free_bytes,
                           .cmdline = ward->policy.window_cmdline};
  RescueOrder order{status->domid, ward->config, policy, record.value_or(DomainRecord{})};
  order.record.uuid = ward->config.uuid;
  order.record.name = ward->config.name;
  order.record.domid = status->domid;
  return rescuer(order);
}

// What the libraries and the work that stands still have to say.
struct Reports {
  XenLog log{[](const std::string& line) { spdlog::debug("{}", line); }};
  StallWatch stalls{[](const std::string& line) { spdlog::warn("{}", line); }};
  StallWatch twin_stalls{[](const std::string& line) {
    spdlog::warn("{}. If the domain crashes now, its reboot waits for this", line);
  }};
};

// What hadumpd needs of the host, in the order in which it is opened.
struct Xen {
  std::unique_ptr<XenHost> host;
  XenHandles handles;  // the observer's
  std::unique_ptr<XenWatcher> watcher;
};

Result<Xen> open_xen(XenLog& log) {
  Xen xen;
  auto host = XenHost::open(log);
  if (!host) return fail(std::move(host));
  xen.host = std::move(*host);
  auto handles = XenHandles::open(log);
  if (!handles) return fail(std::move(handles));
  xen.handles = std::move(*handles);
  auto watcher = XenWatcher::create();
  if (!watcher) return fail(std::move(watcher));
  xen.watcher = std::make_unique<XenWatcher>(std::move(*watcher));
  return xen;
}

// Empty: a signal came first.
Result<std::optional<Xen>> wait_for_xen(XenLog& log, const DaemonOptions& options,
                                        const UniqueFd& signals) {
  std::optional<Xen> xen;
  const auto open = [&]() -> Result<> {
    auto opened = open_xen(log);
    if (!opened) return fail(std::move(opened));
    xen = std::move(*opened);
    return {};
  };
  if (!options.once.empty()) {
    if (auto done = open(); !done) return fail(std::move(done));
  } else if (auto done = open_patiently(open, signals); !done) {
    return fail(std::move(done));
  }
  return xen;
}

// Everything that can live beside Xen, until a signal ends it.
Result<> watch_over(Xen& xen, const DaemonOptions& options, const PolicyTable& policies,
                    Reports& reports, StartCount& starts, const UniqueFd& signals) {
  auto twins = TwinTables::create(
      reports.log, reports.twin_stalls,
      {options.state_directory, options.run_directory, environment("HADUMP_HANG_AT")});
  if (!twins) return fail(std::move(twins));
  (*twins)->destroy_leftovers();

  StateDirectory states(options.state_directory, environment("HADUMP_KILL_AT"));
  const std::string boot_id = host_boot_id();
  LateWriter writer(reports.stalls);
  RecordBook book(states, writer, boot_id);
  CaptureBook captures(states, writer, boot_id);
  CoreDirectory cores;
  Preparer preparer(
      {options.state_directory + "/cache", options.run_directory},
      [&twins = **twins](unsigned domid) { return twins.make(domid); },
      [](const std::string& line) { spdlog::warn("{}, continuing", line); });
  const Rescuer rescuer(*xen.host, preparer, book, reports.stalls);
  std::atomic<bool> stopping = false;
  const Capturer capturer(*xen.host, captures, book, options.state_directory + "/captures",
                          stopping);
  auto wakeup = Wakeup::create();
  if (!wakeup) return fail(std::move(wakeup));
  ThreadJobs jobs(*wakeup);
  GuestObserver guests(reader_of(xen.handles), *wakeup);
  Caretaker caretaker({*xen.host, jobs, book, states, cores, preparer, rescuer, captures, capturer,
                       wall_ms, monotonic, [&guests] { return guests.ask(); }});
  caretaker.set_policies(policies);
  if (auto done = caretaker.load(); !done) return done;
  capturer.forget_ended();
  if (!options.once.empty()) return rescue_one(options.once, *xen.host, policies, book, rescuer);

  auto streams = StreamSide::open({*xen.host, reports.log, *wakeup, stopping});
  if (!streams) return fail(std::move(streams));
  auto server = StatusServer::listen(options.run_directory + "/hadumpd.sock", monotonic);
  if (!server) return fail(std::move(server));
  spdlog::info("hadumpd runs");
  EventLoop({options, caretaker, jobs, guests, **streams, *wakeup, *xen.watcher, *server, signals,
             starts, monotonic})
      .run();
  stopping = true;
  leave_in_time();
  return {};
}

}  // namespace

Result<> run_daemon(const DaemonOptions& options, const PolicyTable& policies) {
  // Before any thread is made, so that all of them have the signals blocked.
  auto signals = take_signals();
  if (!signals) return fail(std::move(signals));
  for (const std::string& path : {options.state_directory, options.run_directory})
    if (auto done = make_own_directory(std::filesystem::absolute(path)); !done) return done;
  auto lock = lock_state(options.state_directory);
  if (!lock) {
    // systemd starts us again every second, for ever; the count of starts is that of who has the
    // lock.
    if (!environment("INVOCATION_ID").empty())
      static_cast<void>(ended_during(kPauseBesideAnother, *signals));
    return fail(std::move(lock));
  }
  StartCount starts(options.run_directory + "/starts");
  const auto pause = options.once.empty() ? starts.begin() : std::chrono::seconds(0);
  if (pause.count() > 0)
    spdlog::warn("hadumpd has ended several times in a row; waiting for {} s", pause.count());
  if (ended_during(pause, *signals)) {
    starts.settled();
    return {};
  }
  Reports reports;
  auto xen = wait_for_xen(reports.log, options, *signals);
  if (!xen) return fail(std::move(xen));
  if (*xen) {
    if (auto done = watch_over(**xen, options, policies, reports, starts, *signals); !done)
      return done;
  }
  starts.settled();
  return {};
}

}  // namespace hadump
