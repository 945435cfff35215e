// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/clean_children.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "hv/xen/handle_list.h"

namespace hadump {
namespace {

constexpr const char* kScoreFile = "/proc/self/oom_score_adj";

// Only what is safe after fork() in a process with threads. A child that stays protected is better
// than none.
void drop_protection() {
  const int fd = open(kScoreFile, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  char first = 0;
  // A positive score is an admin's wish for us and for what is ours.
  if (read(fd, &first, 1) == 1 && first == '-') static_cast<void>(pwrite(fd, "0", 1, 0));
  static_cast<void>(close(fd));
}

// A service is confined by namespaces of its own; a domain's files, and what its hotplug scripts
// change, are the host's. A child that stays in ours is better than none: it may not need the rest.
void enter_host_namespaces() {
  // Entering the mounts changes the working directory to the root.
  char directory[PATH_MAX];
  const bool known = getcwd(directory, sizeof(directory)) != nullptr;
  const struct {
    const char* path;
    int type;
  } wanted[] = {{"/proc/1/ns/net", CLONE_NEWNET}, {"/proc/1/ns/mnt", CLONE_NEWNS}};
  for (const auto& [path, type] : wanted) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    static_cast<void>(setns(fd, type));
    static_cast<void>(close(fd));
  }
  if (known) static_cast<void>(chdir(directory));
}

}  // namespace

pid_t fork_clean_child() {
  const pid_t child = [] {
    const XenLibrariesHeld none_is_inside;
    return fork();
  }();
  if (child != 0) return child;
  const int error = errno;
  sigset_t none;
  sigemptyset(&none);
  static_cast<void>(pthread_sigmask(SIG_SETMASK, &none, nullptr));  // fails for a bad `how` only
  drop_protection();
  enter_host_namespaces();
  errno = error;
  return 0;
}

}  // namespace hadump
