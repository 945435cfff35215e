// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/abi/hadump_abi.h"
#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/base/units.h"
#include "hv/domain/domain_config.h"
#include "hv/domain/guest_layout.h"

namespace hadump {

/// Every vCPU's registers, and the hypervisor's own record of the whole virtual machine.
struct CpuState {
  /// By number, without gaps: one that was never started has nothing but its number.
  std::vector<hadump_vcpu> vcpus;
  std::vector<std::byte> context;  ///< opaque; reset_cpus() wants it back
};

/// Frames of a domain that another one has mapped by the domain's grants.
struct HeldGrants {
  unsigned domid = 0;  ///< who has mapped them
  FrameSet frames;     ///< what the table names, which is not checked: the guest has written it
  FrameSet writable;   ///< of these
};

/// One domain: its life, but neither its memory (GuestMemory) nor its devices (GuestLinks).
///
/// Implementations: XenDomain and, of PV domains, XenPvDomain (hv/xen); InMemoryDomain
/// (tests/fakes).
/// Threads: one at a time.
class Domain {
 public:
  virtual ~Domain() = default;

  /// @return kNotFound when there is no such domain.
  virtual Result<DomainStatus> status() const = 0;
  /// Each pause needs its own unpause.
  virtual Result<> pause() = 0;
  /// Takes back one pause. @return kBusy when there was none.
  virtual Result<> unpause() = 0;
  virtual Result<CpuState> cpu_state() const = 0;
  /// Makes event channels and the shut-down state as in a new domain; RAM and grants stay. Can be
  /// repeated. @param map  what the hypervisor tells a guest that asks it for its memory map.
  /// Xen gives it another page for its shared information meanwhile, so the domain's limit must
  /// have room for one (arch_domain_soft_reset() in xen/arch/x86/domain.c). @return kOs (ENOMEM)
  /// without.
  /// @pre paused, or the vCPUs would run on.
  virtual Result<> reset(std::span<const MapEntry> map) = 0;
  /// Withdraws what the domain has granted to others, so that nobody can map its memory anew. What
  /// is mapped stays mapped. Can be repeated. @pre reset. @return who has mapped something.
  virtual Result<std::vector<HeldGrants>> withdraw_grants() = 0;
  /// vCPU 0 waits at `entry` in 32-bit mode with ebx = start_info; the others wait to be started.
  /// @param context  of CpuState. @pre reset.
  virtual Result<> reset_cpus(std::span<const std::byte> context, GuestPhys entry,
                              GuestPhys start_info) = 0;
  /// Takes back every pause.
  virtual Result<> start() = 0;
};

/// What connects a domain to dom0: devices, console and xenstore.
///
/// Implementations: XenGuestLinks (hv/xen), InMemoryGuestLinks (tests/fakes).
class GuestLinks {
 public:
  virtual ~GuestLinks() = default;

  /// Makes every backend let go of the guest's memory, as if the frontends had closed; the devices
  /// stay. Can be repeated. @return kBusy, naming the device, when one has not within `deadline`.
  virtual Result<> disconnect(std::chrono::milliseconds deadline) = 0;
  /// Makes every backend wait for a new frontend. @pre disconnected.
  virtual Result<> reconnect(std::chrono::milliseconds deadline) = 0;
  /// New event channels and empty rings for console and xenstore. @pre the domain was reset.
  /// @return kBusy when xenstored does not take the new ring.
  virtual Result<> reopen_channels() = 0;
};

/// Values below data/hadump, by key, as the guest wrote them.
using GuestKeys = std::map<std::string, std::string>;

/// What xenstore says of a domain at one time.
struct GuestNews {
  GuestKeys keys;
  std::string name;                      ///< empty: not known
  std::uint64_t balloon_target_kib = 0;  ///< 0: not known

  bool operator==(const GuestNews&) const = default;
};

/// The domain's part of xenstore.
///
/// Implementations: XenGuestStore (hv/xen), InMemoryGuestStore (tests/fakes).
class GuestStore {
 public:
  virtual ~GuestStore() = default;

  /// What the guest wrote below data/hadump: at most a dozen known keys, and no value longer than
  /// HADUMP_XS_MAX_VALUE (such a key is left out).
  virtual Result<GuestKeys> guest_keys() const = 0;
  /// Removes what an earlier kernel of the domain wrote there.
  virtual Result<> clear_guest_keys() = 0;
  /// Withdraws what the toolstack has asked the domain's last kernel for in vain (a shutdown, a
  /// suspend, a sysrq): the next one would do it as soon as it runs.
  virtual Result<> withdraw_requests() = 0;
  /// Writes hadump/<key>, which the guest can only read.
  virtual Result<> publish(const std::string& key, const std::string& value) = 0;
  virtual Result<std::uint64_t> balloon_target_kib() const = 0;
  virtual Result<> set_balloon_target_kib(std::uint64_t kib) = 0;
};

}  // namespace hadump
