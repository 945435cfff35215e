// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/stream/replies.h"
#include "core/stream/wire.h"

namespace hadump {

/// What a guest says, one message after the other.
class GuestWords {
 public:
  GuestWords& open(const std::string& name) {
    put_stream_open(bytes_, name);
    return *this;
  }
  GuestWords& data(const std::vector<std::byte>& body) {
    put_stream_message(bytes_, StreamMessage::kData, sent_, body);
    sent_ += body.size();
    return *this;
  }
  GuestWords& say(StreamMessage type) {
    put_stream_message(bytes_, type, sent_);
    return *this;
  }
  /// A header that need not make sense.
  GuestWords& header(std::uint32_t type, std::uint32_t length, std::uint64_t position) {
    StreamWireHeader wire;
    wire.type = type;
    wire.length = length;
    wire.position = position;
    const auto* begin = reinterpret_cast<const std::byte*>(&wire);
    bytes_.insert(bytes_.end(), begin, begin + sizeof(wire));
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
  std::uint64_t sent_ = 0;
};

inline std::vector<std::byte> random_bytes(std::size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

}  // namespace hadump
