// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/stream/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "core/base/printable.h"

namespace hadump {
namespace {

struct LengthLimits {
  std::size_t least = 0;
  std::size_t most = 0;
};

/// Nothing for a type that this side does not send.
std::optional<LengthLimits> limits_of(std::uint32_t type, StreamSide from) {
  const bool guest = from == StreamSide::kGuest;
  switch (static_cast<StreamMessage>(type)) {
    case StreamMessage::kOpen:
      if (guest)
        return LengthLimits{sizeof(StreamWireOpen), sizeof(StreamWireOpen) + kMaxStreamName};
      break;
    case StreamMessage::kData:
      if (guest) return LengthLimits{1, kMaxStreamData};
      break;
    case StreamMessage::kSync:
    case StreamMessage::kEnd:
      if (guest) return LengthLimits{};
      break;
    case StreamMessage::kAccept:
      if (!guest) return LengthLimits{1, kMaxStreamFile};
      break;
    case StreamMessage::kAck:
    case StreamMessage::kDone:
      if (!guest) return LengthLimits{};
      break;
    case StreamMessage::kError:
      if (!guest) return LengthLimits{sizeof(le32), sizeof(le32) + kMaxStreamError};
      break;
  }
  return {};
}

void append(std::vector<std::byte>& out, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

bool may_be_in_a_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._-+:@,=").find(c) != std::string_view::npos;
}

}  // namespace

Result<StreamHeader> parse_stream_header(std::span<const std::byte, kStreamHeaderBytes> bytes,
                                         StreamSide from) {
  StreamWireHeader wire;
  std::memcpy(&wire, bytes.data(), sizeof(wire));
  const auto limits = limits_of(wire.type, from);
  if (!limits)
    return fail(ErrorCode::kBadData,
                fmt::format("a message of the unknown type {:#x}", std::uint32_t{wire.type}));
  if (wire.length < limits->least || wire.length > limits->most)
    return fail(ErrorCode::kBadData,
                fmt::format("a message of type {:#x} with {} bytes; it may have {} to {}",
                            std::uint32_t{wire.type}, std::uint32_t{wire.length}, limits->least,
                            limits->most));
  return StreamHeader{static_cast<StreamMessage>(std::uint32_t{wire.type}), wire.length,
                      wire.position};
}

void put_stream_message(std::vector<std::byte>& out, StreamMessage type, std::uint64_t position,
                        std::span<const std::byte> body) {
  StreamWireHeader wire;
  wire.type = static_cast<std::uint32_t>(type);
  wire.length = static_cast<std::uint32_t>(body.size());
  wire.position = position;
  append(out, &wire, sizeof(wire));
  append(out, body.data(), body.size());
}

void put_stream_open(std::vector<std::byte>& out, std::string_view name) {
  StreamWireOpen open{};
  std::copy_n(kStreamMagic.begin(), open.magic.size(), open.magic.begin());
  open.version = kStreamVersion;
  std::vector<std::byte> body;
  append(body, &open, sizeof(open));
  append(body, name.data(), name.size());
  put_stream_message(out, StreamMessage::kOpen, 0, body);
}

void put_stream_error(std::vector<std::byte>& out, StreamRefusal why, std::uint64_t position,
                      std::string_view text) {
  const std::string clean = printable(text.substr(0, kMaxStreamError));
  const le32 code = static_cast<std::uint32_t>(why);
  std::vector<std::byte> body;
  append(body, &code, sizeof(code));
  append(body, clean.data(), clean.size());
  put_stream_message(out, StreamMessage::kError, position, body);
}

StreamRefusal refusal_of(const Error& error) {
  if (error.os_errno() == EEXIST) return StreamRefusal::kExists;
  switch (error.code()) {
    case ErrorCode::kNoSpace:
      return StreamRefusal::kNoRoom;
    case ErrorCode::kBadData:
      return StreamRefusal::kName;
    case ErrorCode::kUnsupported:
      return StreamRefusal::kProtocol;
    case ErrorCode::kCancelled:
    case ErrorCode::kBusy:
      return StreamRefusal::kStopped;
    default:
      return StreamRefusal::kWriting;
  }
}

Error error_of_refusal(std::uint32_t code, std::string_view text) {
  const std::string what = "the host has ended the stream: " + printable(text);
  switch (static_cast<StreamRefusal>(code)) {
    case StreamRefusal::kName:
      return {ErrorCode::kBadData, what};
    case StreamRefusal::kNoRoom:
      return {ErrorCode::kNoSpace, what};
    case StreamRefusal::kProtocol:
      return {ErrorCode::kUnsupported, what};
    case StreamRefusal::kStopped:
      return {ErrorCode::kBusy, what};
    case StreamRefusal::kExists:
    case StreamRefusal::kWriting:
      break;
  }
  return {ErrorCode::kOs, what};
}

Result<> check_stream_name(std::string_view name) {
  const auto refused = [](std::string why) { return fail(ErrorCode::kBadData, std::move(why)); };
  if (name.empty()) return refused("the name is empty");
  if (name.size() > kMaxStreamName)
    return refused(
        fmt::format("the name has {} bytes; {} are allowed", name.size(), kMaxStreamName));
  if (!std::all_of(name.begin(), name.end(), may_be_in_a_name))
    return refused(fmt::format("invalid name '{}'; letters, digits and . _ - + : @ , = are allowed",
                               printable(name)));
  if (name.front() == '.' || name.front() == '-')
    return refused(
        fmt::format("invalid name '{}'; it must not begin with '{}'", name, name.front()));
  if (name.find("-incomplete") != std::string_view::npos)
    return refused(fmt::format("invalid name '{}'; '-incomplete' marks files that are", name));
  return {};
}

}  // namespace hadump
