// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "core/base/error.h"
#include "core/base/frame_set.h"

namespace hadump {

/// Which frames of a running domain are written to: the hypervisor's log-dirty. A domain has one
/// log; a migration uses the same one.
///
/// Implementations: XenDirtyLog (hv/xen), InMemoryDirtyLog (tests/fakes); both pass
/// tests/contract/dirty_log_contract.h.
/// Threads: one at a time.
class DirtyLog {
 public:
  virtual ~DirtyLog() = default;

  /// From then on every write of the domain's vCPUs counts, to frames below `end`.
  /// @param keep_free_bytes  what the host must have left when the domain is given memory for it.
  /// @return kBusy when somebody else uses the log, or the domain has a passed-through device,
  ///         whose writes nobody sees; kNoSpace when the host has no memory for the domain's page
  ///         tables in small pages, which the log needs; kUnsupported for a domain without such a
  ///         log.
  virtual Result<> start(Gfn end, std::uint64_t keep_free_bytes) = 0;
  /// The frames that were written to since start() or the last take(); forgets them. What fails
  /// half way has lost some: then only a new start() helps. Where they are very many, frames
  /// between them are among them (frames_of_bitmap()). @pre started.
  /// @param last  also those that the hypervisor has mapped for writing at the moment. For a domain
  ///              that is paused.
  virtual Result<FrameSet> take(bool last) = 0;
  /// Frames that others may write to at any time, and the log does not see it: what the domain has
  /// granted for writing now. The domain names them; some need not exist. @pre started.
  virtual Result<FrameSet> unlogged() = 0;
  /// The guest runs as before, with small pages. No error when it is not on; may be another
  /// program's. @return kOs when the hypervisor does not end it.
  virtual Result<> stop() = 0;
};

}  // namespace hadump
