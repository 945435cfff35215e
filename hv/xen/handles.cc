// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/handles.h"

#include <fmt/format.h>

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

}  // namespace

XenLog::XenLog(Sink sink)
    : logger_{.base = {.vmessage = &XenLog::message, .progress = nullptr, .destroy = nullptr},
              .sink = std::move(sink)} {}

void XenLog::message(xentoollog_logger* logger, xentoollog_level level, int errnoval,
                     const char* context, const char* format, va_list args) {
  if (level < XTL_VERBOSE) return;
  std::array<char, 1024> text{};
  static_cast<void>(vsnprintf(text.data(), text.size(), format, args));  // cut off is good enough
  // It can have what a driver domain wrote into xenstore.
  std::string line =
      printable(std::string(context == nullptr ? "xen" : context) + ": " + text.data());
  if (errnoval >= 0) line += " (" + Error::os(errnoval, "errno").what() + ")";
  reinterpret_cast<Logger*>(logger)->sink(line);
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
