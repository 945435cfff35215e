// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "core/base/error.h"
#include "core/stream/channel.h"
#include "core/stream/store.h"

namespace hadump {

/// A side that had to say or to take something, and has not for so long, is given up.
inline constexpr std::chrono::minutes kStreamSilence{10};

/// What the host's side needs of the world. Borrowed.
struct ReceiveWorld {
  ByteChannel& channel;
  StreamStore& store;
  /// Asked about once a second: an error ends the stream (the domain is gone, hadumpd ends).
  std::function<Result<>()> check;
  /// Told of the file's name, once it has one, and of the bytes.
  std::function<void(const std::string& name, std::uint64_t received, std::uint64_t durable)> show;
  std::function<std::chrono::milliseconds()> now;  ///< A clock that does not jump.
  std::chrono::milliseconds silence = kStreamSilence;
};

struct ReceivedStream {
  std::string name;
  std::uint64_t bytes = 0;
};

/// Receives one stream. The guest is told why it ends.
/// @return the file that is durable under its final name; otherwise why there is none: the guest's
///         fault (kBadData), EPIPE when it has closed too early, kBusy when it stands still, the
///         errors of the store and of `check`.
Result<ReceivedStream> receive_stream(const ReceiveWorld& world);

}  // namespace hadump
