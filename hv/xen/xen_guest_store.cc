// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/xen/xen_guest_store.h"

#include <fmt/format.h>

#include <cerrno>

#include "core/abi/hadump_abi.h"
#include "core/base/text.h"

namespace hadump {

XenGuestStore::XenGuestStore(xs_handle* handle, unsigned domid)
    : store_(handle), home_(fmt::format("/local/domain/{}", domid)) {}

Result<GuestKeys> XenGuestStore::guest_keys() const {
  GuestKeys keys;
  for (const char* key :
       {HADUMP_XS_VERSION, HADUMP_XS_VMCOREINFO, HADUMP_XS_PAGE_OFFSET, HADUMP_XS_MODE,
        HADUMP_XS_SAVE_AREA, HADUMP_XS_STATE, HADUMP_XS_DUMP_ID, HADUMP_XS_MEM_HELD,
        HADUMP_XS_PROGRESS, HADUMP_XS_BOOT_MEMORY, HADUMP_XS_ABILITIES}) {
    if (auto value = guest_key(key)) keys.emplace(key, std::move(*value));
  }
  return keys;
}

std::optional<std::string> XenGuestStore::guest_key(const char* key) const {
  auto value = store_.read(fmt::format("{}/{}/{}", home_, HADUMP_XS_GUEST, key));
  if (value && value->size() > HADUMP_XS_MAX_VALUE) return {};
  return value;
}

Result<GuestNews> XenGuestStore::news(bool all) const {
  GuestNews news;
  if (all) {
    auto keys = guest_keys();
    if (!keys) return fail(std::move(keys));
    news.keys = std::move(*keys);
  } else {
    for (const char* key : {HADUMP_XS_STATE, HADUMP_XS_BOOT_MEMORY})
      if (auto value = guest_key(key)) news.keys.emplace(key, std::move(*value));
  }
  // Keys may be missing; what cannot be read at all is no news.
  auto name = store_.read(home_ + "/name");
  if (!name && errno != ENOENT) return fail_os(errno, "reading a domain's name in xenstore");
  news.name = name.value_or("");
  news.balloon_target_kib = balloon_target_kib().value_or(0);
  return news;
}

Result<> XenGuestStore::clear_guest_keys() {
  return store_.remove(fmt::format("{}/{}", home_, HADUMP_XS_GUEST));
}

// xen/docs/misc/xenstore-paths.pandoc: a guest that has taken a request empties the key.
Result<> XenGuestStore::withdraw_requests() {
  for (const char* key : {"shutdown", "sysrq"}) {
    const std::string path = fmt::format("{}/control/{}", home_, key);
    if (store_.read(path).value_or("").empty()) continue;
    if (auto done = store_.write(path, ""); !done) return done;
  }
  return {};
}

Result<> XenGuestStore::publish(const std::string& key, const std::string& value) {
  return store_.write(fmt::format("{}/{}/{}", home_, HADUMP_XS_AGENT, key), value);
}

Result<std::uint64_t> XenGuestStore::balloon_target_kib() const {
  auto text = store_.read(home_ + "/memory/target");
  if (!text) return fail_os(errno, "reading memory/target");
  return parse_decimal(*text);
}

Result<> XenGuestStore::set_balloon_target_kib(std::uint64_t kib) {
  return store_.write(home_ + "/memory/target", std::to_string(kib));
}

}  // namespace hadump
