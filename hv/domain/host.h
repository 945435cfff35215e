// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "hv/domain/cpu_share.h"
#include "hv/domain/dirty_log.h"
#include "hv/domain/domain.h"
#include "hv/domain/domain_config.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// One domain, opened for one piece of work. The six parts share handles that nobody else uses, so
/// that a call that hangs in one of them hangs for this piece of work only.
///
/// Threads: one at a time, except where a part says more.
class OpenDomain {
 public:
  virtual ~OpenDomain() = default;
  virtual Domain& domain() = 0;
  virtual GuestMemory& memory() = 0;
  virtual DirtyLog& dirty_log() = 0;
  virtual CpuShare& cpu_share() = 0;
  virtual GuestLinks& links() = 0;
  virtual GuestStore& store() = 0;
};

/// Memory for a domain that is to be created.
struct HostRoom {
  std::uint64_t kib = 0;       ///< what it can begin with now, at most full_kib
  std::uint64_t full_kib = 0;  ///< what it is described with
};

/// The host and its toolstack: which domains there are, and their beginning and end.
///
/// Implementations: XenHost (hv/xen), InMemoryHost (tests/fakes); both pass
/// tests/contract/host_contract.h.
///
/// Threads: every function may be called from several threads at once. domains() and crash() return
/// at once; the others wait for the toolstack, which has no deadlines.
class Host {
 public:
  virtual ~Host() = default;

  /// All domains but dom0.
  virtual Result<std::vector<DomainStatus>> domains() = 0;
  /// @return kNotFound when the toolstack has no configuration for the domain (yet).
  virtual Result<DomainConfig> config(unsigned domid) = 0;
  /// A domain that is not there is an error of the parts' own functions.
  virtual Result<std::unique_ptr<OpenDomain>> open(unsigned domid) = 0;
  /// Shuts the domain down as if it had crashed.
  virtual Result<> crash(unsigned domid) = 0;
  /// Writes the domain's memory to a file, as `xl dump-core` does.
  virtual Result<> dump_core(unsigned domid, const std::string& path) = 0;
  virtual Result<> destroy(unsigned domid) = 0;
  /// Keeps the domain under another name and another UUID, without its disks, so that its successor
  /// can have all three (xl's rename-restart). Can be repeated. @pre it has shut down.
  /// @param uuid  its new one; empty: a random one.
  virtual Result<> set_aside(unsigned domid, const std::string& uuid) = 0;
  /// What the host has left for such a domain, besides what it must keep free, what the toolstack
  /// needs for the domain itself, and what others have claimed.
  virtual Result<HostRoom> room_for(const std::string& blueprint,
                                    std::uint64_t keep_free_bytes) = 0;
  /// Creates a domain and starts it. After a failure there is no trace of it.
  /// @param blueprint  DomainConfig::blueprint of the domain that it replaces.
  /// @param memory_kib  what it begins with, if that is less than it is described with; its largest
  ///                    size stays the same. 0: all.
  /// @return its number. Its name and UUID are those of the blueprint.
  virtual Result<unsigned> create(const std::string& blueprint, std::uint64_t memory_kib) = 0;
  /// How much memory a running domain is to have, as `xl mem-set`; what it does not have yet is
  /// claimed for it where the host has it free.
  virtual Result<> set_memory(unsigned domid, std::uint64_t kib) = 0;
};

}  // namespace hadump
