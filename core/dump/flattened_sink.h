// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/base/unique_handle.h"
#include "core/dump/sink.h"

namespace hadump {

/// Where a flattened dump goes.
///
/// Implementations: a file descriptor's (flattened_sink.cc), the host of a guest
/// (userspace/release_region/host_sink.cc).
class FlattenedPeer {
 public:
  virtual ~FlattenedPeer() = default;
  /// All of both, in order; they may still be on their way when this returns.
  virtual Result<> write(std::span<const std::byte> head, std::span<const std::byte> body) = 0;
  /// As DumpSink::make_durable().
  virtual Result<> make_durable() = 0;
  /// The dump is whole. Called once, last.
  virtual Result<> end() = 0;
};

/// The flattened form (makedumpfile -F) on a pipe, socket or file descriptor: a 4096-byte header,
/// then records of offset, length and bytes. `makedumpfile -R` puts it together.
///
/// make_durable() is kUnsupported: a pipe promises nothing. The end record, which tells a whole
/// dump from a truncated one, is written by publish().
///
/// @param fd  taken over.
Result<std::unique_ptr<DumpSink>> open_flattened_sink(UniqueFd fd, std::string name);
/// The same, to any peer; make_durable() is the peer's.
Result<std::unique_ptr<DumpSink>> open_flattened_sink(std::unique_ptr<FlattenedPeer> peer,
                                                      std::string name);

}  // namespace hadump
