// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "hv/domain/domain.h"
#include "hv/xen/xen_store.h"

namespace hadump {

/// GuestStore on real xenstore. The handle is borrowed.
class XenGuestStore : public GuestStore {
 public:
  XenGuestStore(xs_handle* handle, unsigned domid);

  Result<GuestKeys> guest_keys() const override;
  Result<> clear_guest_keys() override;
  Result<> withdraw_requests() override;
  Result<> publish(const std::string& key, const std::string& value) override;
  Result<std::uint64_t> balloon_target_kib() const override;
  Result<> set_balloon_target_kib(std::uint64_t kib) override;

  /// For who looks often. @param all  all of guest_keys(), or HADUMP_XS_STATE only.
  Result<GuestNews> news(bool all) const;

 private:
  std::optional<std::string> guest_key(const char* key) const;

  XenStore store_;
  std::string home_;
};

}  // namespace hadump
