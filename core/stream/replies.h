// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/stream/wire.h"

namespace hadump {

/// What the guest knows of a stream from the host's messages, on bytes. A host that is believed in
/// is still checked: memory is released for what it acknowledges.
class StreamReplies {
 public:
  /// Takes bytes of the host's. @param sent  bytes of the stream that were sent before.
  /// @return kBadData for what is not the protocol; the host's own error when it has ended the
  ///         stream. Every later call returns the same.
  Result<> feed(std::span<const std::byte> bytes, std::uint64_t sent);

  bool is_accepted() const { return accepted_; }
  bool is_done() const { return done_; }
  std::uint64_t durable() const { return durable_; }
  /// The name that the host gives the file.
  const std::string& file() const { return file_; }
  std::uint64_t room() const { return room_; }

 private:
  Result<> take_message(std::uint64_t sent);
  Result<> take_position(std::uint64_t sent);

  std::array<std::byte, kStreamHeaderBytes> header_bytes_{};
  std::size_t header_have_ = 0;
  StreamHeader header_;
  std::uint32_t body_left_ = 0;
  std::vector<std::byte> body_;
  bool accepted_ = false;
  bool done_ = false;
  std::uint64_t durable_ = 0;
  std::uint64_t room_ = 0;
  std::string file_;
  std::optional<Error> error_;
};

}  // namespace hadump
