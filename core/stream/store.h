// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/base/error.h"

namespace hadump {

/// Where the host puts one stream.
///
/// Implementations: StreamFile (hv/stream), MemoryStore (tests/fakes/stream), which can fail at a
/// given byte.
/// Threads: one at a time.
class StreamStore {
 public:
  virtual ~StreamStore() = default;

  struct Place {
    std::string name;        ///< Of the finished file; at most kMaxStreamFile bytes.
    std::uint64_t room = 0;  ///< Bytes that the stream may have, as far as is known.
  };
  /// Called once, first.
  /// @param name  any bytes, at most kMaxStreamName of them; empty: the store chooses.
  /// @return kBadData for a name that is not allowed, EEXIST, kNoSpace, kBusy, kOs.
  virtual Result<Place> open(const std::string& name) = 0;
  /// Behind what was written before. @return kNoSpace when a quota or the disk has no room, kOs.
  virtual Result<> write(std::span<const std::byte> bytes) = 0;
  /// Returns when all that was written is safe from a power cut.
  virtual Result<> make_durable() = 0;
  /// Gives the file its final name, durably. Called once, last, after make_durable().
  virtual Result<> publish() = 0;
};

}  // namespace hadump
