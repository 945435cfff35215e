// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/agent/aftermath.h"

namespace hadump {

Aftermath aftermath_of(ShutdownAction action) {
  switch (action) {
    case ShutdownAction::kDestroy:
    case ShutdownAction::kCoredumpDestroy:
      return Aftermath::kGone;
    case ShutdownAction::kRestart:
    case ShutdownAction::kRenameRestart:
    case ShutdownAction::kCoredumpRestart:
      return Aftermath::kReplaced;
    case ShutdownAction::kPreserve:
    case ShutdownAction::kSoftReset:  // libxl refuses it for PVH and would destroy the domain
      return Aftermath::kStays;
  }
  return Aftermath::kStays;
}

std::optional<ShutdownAction> configured_action(const DomainConfig& config, ShutdownReason reason) {
  switch (reason) {
    case ShutdownReason::kPoweroff:
      return config.on_poweroff;
    case ShutdownReason::kReboot:
      return config.on_reboot;
    case ShutdownReason::kCrash:
      return config.on_crash;
    case ShutdownReason::kWatchdog:
      return config.on_watchdog;
    default:
      return {};
  }
}

}  // namespace hadump
