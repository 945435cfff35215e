// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/handles.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <deque>

#include "core/base/printable.h"
#include "hv/xen/clean_children.h"

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

Result<LibxlHandle> open_libxl(XenLog& log) {
  libxl_ctx* context = nullptr;
  if (libxl_ctx_alloc(&context, LIBXL_VERSION, 0, log.get()) != 0)
    return fail(ErrorCode::kOs, "opening libxl");
  // libxl waits for children of its own, domain destruction among them. In its default mode a
  // context waits for any child of the process, and takes another context's: whoever is waiting for
  // that one waits forever (libxl_event.h, "Subprocess handling").
  static constexpr libxl_childproc_hooks kOwnChildrenOnly{
      .chldowner = libxl_sigchld_owner_libxl_always_selective_reap,
      .fork_replacement = [](void*) { return fork_clean_child(); },
      .reaped_callback = nullptr};
  libxl_childproc_setmode(context, &kOwnChildrenOnly, nullptr);
  return LibxlHandle(context);
}

}  // namespace hadump
