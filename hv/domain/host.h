// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "hv/domain/domain.h"
#include "hv/domain/domain_config.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// One domain, opened for one piece of work. The four parts share handles that nobody else uses, so
/// that a call that hangs in one of them hangs for this piece of work only.
///
/// Threads: one at a time, except where a part says more.
class OpenDomain {
 public:
  virtual ~OpenDomain() = default;
  virtual Domain& domain() = 0;
  virtual GuestMemory& memory() = 0;
  virtual GuestLinks& links() = 0;
  virtual GuestStore& store() = 0;
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
  /// can have all three (xl's rename-restart). @pre it has shut down.
  virtual Result<> set_aside(unsigned domid) = 0;
  /// Creates a domain and starts it. After a failure there is no trace of it.
  /// @param blueprint  DomainConfig::blueprint of the domain that it replaces.
  /// @return its number. Its name and UUID are those of the blueprint.
  virtual Result<unsigned> create(const std::string& blueprint) = 0;
};

}  // namespace hadump
