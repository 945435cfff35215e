// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_watcher.h"

#include <sys/time.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace hadump {

Result<XenWatcher> XenWatcher::create(libxl_ctx* context) {
  XenWatcher watcher(context);
  watcher.store_.reset(xs_open(0));
  if (!watcher.store_) return fail_os(errno, "connecting to xenstored");
  for (const char* path : {"@introduceDomain", "@releaseDomain"})
    if (!xs_watch(watcher.store_.get(), path, path))
      return fail_os(errno, std::string("watching ") + path);
  return watcher;
}

XenWatcher::~XenWatcher() {
  for (const auto& [domid, generator] : generators_)
    libxl_evdisable_domain_death(context_, generator);
}

void XenWatcher::follow(const std::set<unsigned>& domids) {
  for (auto it = generators_.begin(); it != generators_.end();) {
    if (domids.contains(it->first)) {
      ++it;
      continue;
    }
    libxl_evdisable_domain_death(context_, it->second);
    it = generators_.erase(it);
  }
  for (unsigned domid : domids) {
    if (generators_.contains(domid)) continue;
    libxl_evgen_domain_death* generator = nullptr;
    // Without the event, xenstore's still comes.
    if (libxl_evenable_domain_death(context_, domid, 0, &generator) == 0)
      generators_.emplace(domid, generator);
  }
}

void XenWatcher::follow_again(unsigned domid) {
  const auto found = generators_.find(domid);
  if (found == generators_.end()) return;
  libxl_evdisable_domain_death(context_, found->second);
  generators_.erase(found);
}

bool XenWatcher::take_store_events() {
  bool any = false;
  while (char** event = xs_check_watch(store_.get())) {
    std::free(event);
    any = true;
  }
  return any;
}

bool XenWatcher::take_libxl_events() {
  bool any = false;
  libxl_event* event = nullptr;
  while (libxl_event_check(context_, &event, LIBXL_EVENTMASK_ALL, nullptr, nullptr) == 0) {
    libxl_event_free(context_, event);
    any = true;
  }
  return any;
}

Result<bool> XenWatcher::wait(std::vector<pollfd>& others, std::chrono::milliseconds timeout) {
  constexpr int kMaxLibxlFds = 64;
  std::vector<pollfd> fds(others);
  fds.push_back({xs_fileno(store_.get()), POLLIN, 0});
  const std::size_t own = fds.size();
  fds.resize(own + kMaxLibxlFds);
  int libxl_fds = kMaxLibxlFds;
  int timeout_ms = static_cast<int>(timeout.count());
  timeval now{};
  gettimeofday(&now, nullptr);
  if (libxl_osevent_beforepoll(context_, &libxl_fds, fds.data() + own, &timeout_ms, now) != 0)
    libxl_fds = 0;  // xenstore's events and the timeout remain
  fds.resize(own + static_cast<std::size_t>(libxl_fds));
  if (poll(fds.data(), fds.size(), timeout_ms) < 0 && errno != EINTR)
    return fail_os(errno, "waiting for events");
  gettimeofday(&now, nullptr);
  libxl_osevent_afterpoll(context_, libxl_fds, fds.data() + own, now);
  for (std::size_t i = 0; i < others.size(); ++i) others[i].revents = fds[i].revents;
  const bool store_event = take_store_events();
  return take_libxl_events() || store_event;
}

}  // namespace hadump
