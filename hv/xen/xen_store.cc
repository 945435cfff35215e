// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_store.h"

#include <cerrno>
#include <cstdlib>

namespace hadump {
std::optional<std::string> XenStore::read(const std::string& path) const {
  unsigned bytes = 0;
  const UniqueHandle<void, std::free> value(xs_read(handle_, XBT_NULL, path.c_str(), &bytes));
  if (!value) return {};
  return std::string(static_cast<const char*>(value.get()), bytes);
}

Result<> XenStore::write(const std::string& path, const std::string& value) const {
  if (!xs_write(handle_, XBT_NULL, path.c_str(), value.data(), static_cast<unsigned>(value.size())))
    return fail_os(errno, "writing " + path + " in xenstore");
  return {};
}

Result<> XenStore::remove(const std::string& path) const {
  if (!xs_rm(handle_, XBT_NULL, path.c_str()) && errno != ENOENT)
    return fail_os(errno, "removing " + path + " from xenstore");
  return {};
}

std::vector<std::string> XenStore::list(const std::string& path) const {
  unsigned count = 0;
  const UniqueHandle<char*, std::free> names(xs_directory(handle_, XBT_NULL, path.c_str(), &count));
  if (!names) return {};
  return {names.get(), names.get() + count};
}

}  // namespace hadump
