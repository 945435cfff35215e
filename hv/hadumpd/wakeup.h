// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "core/base/error.h"
#include "core/base/unique_handle.h"

namespace hadump {

/// Wakes the event loop from another thread. Threads: any.
class Wakeup {
 public:
  static Result<Wakeup> create() {
    UniqueFd fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return fail_os(errno, "opening an eventfd");
    return Wakeup(std::move(fd));
  }

  /// To be polled for reading.
  int fd() const { return fd_.get(); }
  void notify() const {
    const std::uint64_t one = 1;
    static_cast<void>(write(fd_.get(), &one, sizeof(one)));  // full: it is awake already
  }
  void clear() const {
    std::uint64_t count = 0;
    static_cast<void>(read(fd_.get(), &count, sizeof(count)));  // none: nothing to clear
  }

 private:
  explicit Wakeup(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace hadump
