// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>

#include "hv/domain/domain_config.h"

namespace hadump {

// What a domain's configuration says about its end, and what that leaves behind.

enum class Aftermath : std::uint8_t {
  kStays,     ///< the domain is there as before: it must not be seen to again
  kGone,      ///< no domain has its UUID any more
  kReplaced,  ///< another domain has its name and UUID, and no xl looks after that one
};

/// What an action leaves behind when it has been carried out. Each is carried out once: the domain
/// that has shut down is then gone, left alone, or has another UUID.
Aftermath aftermath_of(ShutdownAction action);

/// What the domain's configuration says about a shutdown for this reason; nothing for one that it
/// has no say in.
std::optional<ShutdownAction> configured_action(const DomainConfig& config, ShutdownReason reason);

}  // namespace hadump
