// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_watcher.h"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

namespace hadump {

Result<XenWatcher> XenWatcher::create() {
  StoreHandle store(xs_open(0));
  if (!store) return fail_os(errno, "connecting to xenstored");
  for (const char* path : {"@introduceDomain", "@releaseDomain"})
    if (!xs_watch(store.get(), path, path)) return fail_os(errno, std::string("watching ") + path);
  return XenWatcher(std::move(store));
}

Result<> XenWatcher::wait(std::vector<pollfd>& others, std::chrono::milliseconds timeout) {
  std::vector<pollfd> fds(others);
  fds.push_back({xs_fileno(store_.get()), POLLIN, 0});
  if (poll(fds.data(), fds.size(), static_cast<int>(timeout.count())) < 0 && errno != EINTR)
    return fail_os(errno, "waiting for events");
  for (std::size_t i = 0; i < others.size(); ++i) others[i].revents = fds[i].revents;
  while (char** event = xs_check_watch(store_.get())) std::free(event);
  return {};
}

}  // namespace hadump
