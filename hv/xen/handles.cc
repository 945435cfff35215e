// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/handles.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <deque>

#include "core/base/printable.h"

namespace hadump {

namespace {

constexpr std::size_t kErrorsKept = 3;
thread_local std::deque<std::string> newest_errors;

// A child of libxl's, before it becomes another program: another thread may have held a lock of the
// sink's when it was made, and nobody will ever release that.
bool in_a_child(pid_t owner) {
  return getpid() != owner;
}

}  // namespace

XenLog::XenLog(Sink sink)
    : logger_{.base = {.vmessage = &XenLog::message, .progress = nullptr, .destroy = nullptr},
              .sink = std::move(sink),
              .owner = getpid()} {}

void XenLog::message(xentoollog_logger* logger, xentoollog_level level, int errnoval,
                     const char* context, const char* format, va_list args) {
  if (level < XTL_VERBOSE) return;
  std::array<char, 1024> text{};
  static_cast<void>(vsnprintf(text.data(), text.size(), format, args));  // cut off is good enough
  // It can have what a driver domain wrote into xenstore.
  std::string line =
      printable(std::string(context == nullptr ? "xen" : context) + ": " + text.data());
  if (errnoval >= 0) line += " (" + Error::os(errnoval, "errno").what() + ")";
  auto* const own = reinterpret_cast<Logger*>(logger);
  if (in_a_child(own->owner)) {
    line += '\n';
    static_cast<void>(!write(STDERR_FILENO, line.data(), line.size()));  // or nobody hears of it
    return;
  }
  own->sink(line);
  if (level < XTL_ERROR) return;
  newest_errors.push_back(std::move(line));
  if (newest_errors.size() > kErrorsKept) newest_errors.pop_front();
}

std::string XenLog::take_errors() {
  std::string errors = fmt::format("{}", fmt::join(newest_errors, "; "));
  newest_errors.clear();
  return errors;
}

Result<XenHandles> XenHandles::open(XenLog& log) {
  XenHandles handles;
  handles.control.reset(xc_interface_open(log.get(), log.get(), 0));
  if (!handles.control) return fail_os(errno, "opening the Xen control interface");
  handles.foreign.reset(xenforeignmemory_open(log.get(), 0));
  if (!handles.foreign) return fail_os(errno, "opening the Xen foreign memory interface");
  handles.store.reset(xs_open(0));
  if (!handles.store) return fail_os(errno, "connecting to xenstored");
  return handles;
}

}  // namespace hadump
