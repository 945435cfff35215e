// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "hv/xen/handles.h"

namespace hadump {

/// Plain reads and writes of xenstore. The handle is borrowed. Threads: one at a time.
class XenStore {
 public:
  explicit XenStore(xs_handle* handle) : handle_(handle) {}

  /// Nothing when there is no such node.
  std::optional<std::string> read(const std::string& path) const;
  Result<> write(const std::string& path, const std::string& value) const;
  /// No error when there is none.
  Result<> remove(const std::string& path) const;
  /// Names below `path`; empty when there are none.
  std::vector<std::string> list(const std::string& path) const;

  xs_handle* handle() const { return handle_; }

 private:
  xs_handle* handle_;
};

}  // namespace hadump
