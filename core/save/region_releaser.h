// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string_view>

#include "core/base/error.h"
#include "core/base/unique_handle.h"
#include "core/base/units.h"
#include "core/save/region_table.h"

namespace hadump {

/// The old memory of a waiting dump, as the saver needs it: look, give back, say how far it is.
///
/// Implementations: SysfsReleaser (the module's files), FakeReleaser (tests/fakes).
///
/// Threads: one at a time.
class RegionReleaser {
 public:
  virtual ~RegionReleaser() = default;

  /// The state of every range now. kNotFound when no dump waits (any more).
  virtual Result<RegionTable> regions() = 0;

  /// Gives `range` back to the running kernel. Irreversible: its bytes must be durable elsewhere.
  /// All or nothing. Memory is usable again once a whole memory block has been released.
  ///
  /// @param range  inside held memory, holes included, or exactly the save area, which must be the
  ///               last.
  /// @return kBusy for the save area while anything else is held (EBUSY); kBadData for a range that
  ///         is not wholly held or already released (ERANGE, EALREADY, EFAULT, EINVAL);
  ///         kUnsupported where this kernel cannot keep the memory out of Xen's balloon; kOs for
  ///         what Linux itself refuses (ENOMEM, …): the range is still held, try again.
  virtual Result<> release(FrameRange range) = 0;

  /// One line for `hadump status` on the host. @pre printable, at most 200 bytes.
  virtual Result<> report_progress(std::string_view line) = 0;

  /// Keeps other savers of this dump out as long as the descriptor is open, here or in a child that
  /// has inherited it. Needs no disk.
  /// @return kBusy when another process has it; kNotFound when no dump waits (any more); kOs;
  ///         kUnsupported where nobody else can save this memory.
  virtual Result<UniqueFd> lock() {
    return fail(ErrorCode::kUnsupported, "this memory has no lock of its own");
  }
};

}  // namespace hadump
