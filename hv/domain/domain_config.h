// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

namespace hadump {

/// What to do when a domain shuts down, as in xl.cfg(5).
enum class ShutdownAction : std::uint8_t {
  kDestroy,
  kRestart,
  kRenameRestart,
  kPreserve,
  kCoredumpDestroy,
  kCoredumpRestart,
  kSoftReset,
};

/// Why a domain shut down (xen/public/sched.h SHUTDOWN_*).
enum class ShutdownReason : std::uint8_t {
  kPoweroff,
  kReboot,
  kSuspend,
  kCrash,
  kWatchdog,
  kSoftReset,
  kUnknown,
};

struct GuestKind;

/// What the toolstack stored about a domain when it was created. Trusted: it comes from dom0.
struct DomainConfig {
  std::string name;
  std::string uuid;                 ///< "xxxxxxxx-xxxx-…", lower case
  const GuestKind* kind = nullptr;  ///< nullptr: one that nothing is known of
  std::uint64_t memory_bytes = 0;   ///< the most the domain may have: what its RAM layout follows
  unsigned max_vcpus = 0;
  std::string kernel;
  std::string ramdisk;  ///< may be empty
  std::string cmdline;
  std::string acpi_key;   ///< equal for domains whose ACPI tables are equal; fit for a file name
  std::string blueprint;  ///< from which Host::create() makes the domain again; opaque
  ShutdownAction on_poweroff = ShutdownAction::kDestroy;
  ShutdownAction on_reboot = ShutdownAction::kRestart;
  ShutdownAction on_crash = ShutdownAction::kDestroy;
  ShutdownAction on_watchdog = ShutdownAction::kDestroy;
};

/// What the hypervisor says about a domain now.
struct DomainStatus {
  unsigned domid = 0;
  std::string uuid;
  bool paused = false;
  bool dying = false;
  bool shutdown = false;
  ShutdownReason reason = ShutdownReason::kUnknown;  ///< meaningful when shutdown
  bool has_run = false;                              ///< a vCPU has used time
  std::uint64_t max_memory_kib = 0;
  unsigned max_vcpu_id = 0;

  bool crashed() const {
    return shutdown && (reason == ShutdownReason::kCrash || reason == ShutdownReason::kWatchdog);
  }
};

}  // namespace hadump
