// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "core/base/error.h"
#include "core/base/unique_handle.h"
#include "hv/xen/xen_headers.h"

namespace hadump {

// A handle must not cross fork(): the child may only close it (xenctrl.h, xenforeignmemory.h).
using ControlHandle = UniqueHandle<xc_interface, xc_interface_close>;
using ForeignHandle = UniqueHandle<xenforeignmemory_handle, xenforeignmemory_close>;
using StoreHandle = UniqueHandle<xs_handle, xs_close>;
using LibxlHandle = UniqueHandle<libxl_ctx, libxl_ctx_free>;

/// A libxl struct from its init to its dispose.
template <typename T, auto kInit, auto kDispose>
struct LibxlStruct {
  LibxlStruct() { kInit(&value); }
  ~LibxlStruct() { kDispose(&value); }
  LibxlStruct(const LibxlStruct&) = delete;
  LibxlStruct& operator=(const LibxlStruct&) = delete;
  T value;
};
using LibxlConfig =
    LibxlStruct<libxl_domain_config, libxl_domain_config_init, libxl_domain_config_dispose>;

/// Sends what the Xen libraries say to a function of ours. Without a logger, libxc writes to stderr
/// by itself. Errors are lines for a debug log: the call's result is what counts.
class XenLog {
 public:
  using Sink = std::function<void(const std::string& line)>;
  explicit XenLog(Sink sink);
  XenLog(const XenLog&) = delete;
  XenLog& operator=(const XenLog&) = delete;
  xentoollog_logger* get() { return &logger_.base; }

  /// The newest errors that the Xen libraries have told this thread of, whatever the logger, and
  /// forgets them; "" when there are none. A call's number says that it failed, these say why.
  static std::string take_errors();

 private:
  struct Logger {
    xentoollog_logger base;  // first, so that the C callback's pointer is ours
    Sink sink;
    pid_t owner;  // in a child of this process, lines go to stderr
  };
  static void message(xentoollog_logger* logger, xentoollog_level level, int errnoval,
                      const char* context, const char* format, va_list args);
  Logger logger_;
};

/// The handles of one thread of work, in the order in which they are opened.
struct XenHandles {
  ControlHandle control;
  ForeignHandle foreign;
  StoreHandle store;

  /// @param log  must outlive the handles. @return kOs: EACCES when not root, ENOENT when not
  ///             running on Xen.
  static Result<XenHandles> open(XenLog& log);
};

/// A context for one thread. There may be several at once. They install a handler for SIGCHLD; each
/// waits for children of its own only, so the process must not wait for any child, but for one of
/// its own by its number.
Result<LibxlHandle> open_libxl(XenLog& log);

}  // namespace hadump
