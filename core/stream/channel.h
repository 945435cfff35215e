// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <span>

#include "core/base/error.h"

namespace hadump {

/// One end of a bounded two-way pipe between a guest and its host. Bytes arrive in order and once,
/// in pieces of any size. Destroying it closes it: the other end can read what was written before.
///
/// Implementations: VchanChannel (userspace/vchan), MemoryChannel (tests/fakes/stream); both pass
/// tests/contract/byte_channel_contract.h.
/// Threads: one at a time for each end.
class ByteChannel {
 public:
  virtual ~ByteChannel() = default;

  /// What has come, at most out.size(). Never waits.
  /// @return 0: nothing now. kOs with EPIPE: the other end is closed, and all was read.
  virtual Result<std::size_t> read(std::span<std::byte> out) = 0;
  /// As much as there is room for. Never waits.
  /// @return 0: no room now. kOs with EPIPE: the other end is closed.
  virtual Result<std::size_t> write(std::span<const std::byte> bytes) = 0;
  /// Returns when read() or write() may say something else than before, or after `patience`; it may
  /// return for no reason.
  virtual Result<> wait(std::chrono::milliseconds patience) = 0;
};

}  // namespace hadump
