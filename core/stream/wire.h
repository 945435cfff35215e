// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/endian.h"
#include "core/base/error.h"
#include "core/base/units.h"

// The messages of a stream: docs/spec/stream.md.

namespace hadump {

inline constexpr std::uint32_t kStreamVersion = 1;
inline constexpr std::string_view kStreamMagic = "HDSTREAM";
inline constexpr std::size_t kMaxStreamName = 100;
/// Of the name that the host answers with: one that it has chosen, or changed.
inline constexpr std::size_t kMaxStreamFile = 128;
inline constexpr std::size_t kMaxStreamData = 1_MiB;
inline constexpr std::size_t kMaxStreamError = 512;
/// The host makes durable, and acknowledges, at least as often.
inline constexpr std::uint64_t kStreamSyncEvery = 32_MiB;

enum class StreamMessage : std::uint32_t {
  kOpen = 1,
  kData = 2,
  kSync = 3,
  kEnd = 4,
  kAccept = 0x11,
  kAck = 0x12,
  kDone = 0x13,
  kError = 0x14,
};

/// Why the host ends a stream.
enum class StreamRefusal : std::uint32_t {
  kProtocol = 1,
  kName = 2,
  kExists = 3,
  kNoRoom = 4,
  kWriting = 5,
  kStopped = 6,
};

struct StreamWireHeader {
  le32 type;
  le32 length;
  le64 position;
};
static_assert(sizeof(StreamWireHeader) == 16);
inline constexpr std::size_t kStreamHeaderBytes = sizeof(StreamWireHeader);

/// The beginning of the body of kOpen; the name follows.
struct StreamWireOpen {
  std::array<char, 8> magic;
  le32 version;
  le32 reserved;
};
static_assert(sizeof(StreamWireOpen) == 16);

struct StreamHeader {
  StreamMessage type = StreamMessage::kOpen;
  std::uint32_t length = 0;  ///< Of the body; within the type's limits.
  std::uint64_t position = 0;
};

enum class StreamSide : std::uint8_t { kGuest, kHost };

/// @param from  who has sent it. @return kBadData for a type that this side does not send, or a
///              length that the type does not have.
Result<StreamHeader> parse_stream_header(std::span<const std::byte, kStreamHeaderBytes> bytes,
                                         StreamSide from);

/// Appends a message. @pre the body is within the type's limits.
void put_stream_message(std::vector<std::byte>& out, StreamMessage type, std::uint64_t position,
                        std::span<const std::byte> body = {});
void put_stream_open(std::vector<std::byte>& out, std::string_view name);
/// @param text  cut to kMaxStreamError, and made printable.
void put_stream_error(std::vector<std::byte>& out, StreamRefusal why, std::uint64_t position,
                      std::string_view text);

/// What an error of the host's means for the guest, and back.
StreamRefusal refusal_of(const Error& error);
Error error_of_refusal(std::uint32_t code, std::string_view text);

/// Whether a guest may give a file this name; an empty one is no name.
/// @return kBadData with the reason.
Result<> check_stream_name(std::string_view name);

}  // namespace hadump
