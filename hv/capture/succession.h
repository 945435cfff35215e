// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "hv/capture/capture_mode.h"

namespace hadump {

// A domain that is put aside with its memory, and the one that takes its place at once.

/// A random one, "xxxxxxxx-xxxx-4xxx-…".
std::string new_uuid();

/// The memory that a successor could begin with now.
/// @return kNoSpace when that is less than world.min_successor_bytes; kUnsupported for a domain
///         that would not let go of its own before its end.
Result<HostRoom> successor_room(const CaptureWorld& world, const std::string& blueprint);

/// Puts the domain aside, as record.aside_uuid, and creates its successor; notes its number in the
/// record. Nothing is created before every backend of the old domain has let go of it and its disks
/// are gone from it: a request under way must not reach a disk that is mounted again. Can be
/// repeated after a failure or a kill, and finds out what was done.
/// @return kNotFound when the old domain is gone; kBusy when a backend does not let go; kNoSpace;
///         the errors of Host.
Result<> put_successor(const CaptureWorld& world, CaptureRecord& record,
                       const std::string& blueprint);

/// Destroys the domain that was put aside. No error when it is gone.
Result<> end_predecessor(const CaptureWorld& world, const CaptureRecord& record);

/// The memory of the successor, which grows as the old domain gives back its own, to what that one
/// had. It ends when somebody else changes its size (`xl mem-set`): that is their wish then. What
/// fails is a warning, once: the memory stays free.
class SuccessorMemory {
 public:
  /// Borrows both.
  SuccessorMemory(const CaptureWorld& world, CaptureRecord& record)
      : world_(world), record_(record) {}

  /// @param bytes  what the old domain has given back altogether.
  void grow_by(std::uint64_t bytes);
  void grow_to_full();

 private:
  Result<> grow_to(std::uint64_t kib);

  const CaptureWorld& world_;
  CaptureRecord& record_;
  bool over_ = false;
  std::optional<std::uint64_t> set_kib_;  ///< what it was set to last, by this object
};

}  // namespace hadump
