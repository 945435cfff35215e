// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/stream/channel.h"
#include "core/stream/receive_stream.h"
#include "core/stream/replies.h"

namespace hadump {

/// The guest's side of one stream.
///
/// Every function returns the host's own reason when the host has ended the stream; EPIPE when it
/// has gone without one; kBusy when it has stood still for too long; kCancelled. After any error
/// only durable() is of use.
/// Threads: one at a time.
class StreamSender {
 public:
  struct World {
    std::function<bool()> cancelled;                 ///< Asked about once a second while waiting.
    std::function<std::chrono::milliseconds()> now;  ///< A clock that does not jump.
    std::chrono::milliseconds silence = kStreamSilence;
  };

  StreamSender(std::unique_ptr<ByteChannel> channel, World world)
      : channel_(std::move(channel)), world_(std::move(world)) {}

  /// Waits until the host has accepted the stream. Called once, first.
  /// @param name  empty: the host chooses. @return kBadData for one that the host does not allow.
  Result<> open(const std::string& name);
  /// Waits until the ring has taken all of it.
  Result<> send(std::span<const std::byte> bytes);
  /// Waits until all that was sent is durable.
  Result<> sync();
  /// Waits until the file has its final name, durably. Called once, last.
  Result<> end();

  /// So many bytes of the stream are durable.
  std::uint64_t durable() const { return replies_.durable(); }
  std::uint64_t sent() const { return sent_; }
  /// The name that the host gives the file. @pre open.
  const std::string& file() const { return replies_.file(); }

 private:
  Result<> say(std::span<const std::byte> bytes);
  Result<> say_message(StreamMessage type);
  /// @return whether anything came.
  Result<bool> hear();
  Result<> await(const std::function<bool()>& condition);
  Result<> stand_by(std::chrono::milliseconds since);
  Error why_closed(Error error);

  std::unique_ptr<ByteChannel> channel_;
  World world_;
  StreamReplies replies_;
  std::uint64_t sent_ = 0;
  std::vector<std::byte> message_;
};

}  // namespace hadump
