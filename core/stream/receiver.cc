// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/stream/receiver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace hadump {

// What fails on the host's disk is not the guest's to know.
void StreamReceiver::refuse(StreamRefusal why, const Error& error) {
  const bool is_ours = why == StreamRefusal::kWriting;
  put_stream_error(replies_, why, durable_,
                   is_ours ? "writing there has failed; hadumpd's log says why" : error.what());
  error_ = error;
  state_ = State::kOver;
}

void StreamReceiver::protocol_error(std::string what) {
  refuse(StreamRefusal::kProtocol,
         Error(ErrorCode::kBadData, "the guest breaks the protocol: " + std::move(what)));
}

void StreamReceiver::stop(const Error& error) {
  if (!is_over()) refuse(refusal_of(error), error);
}

void StreamReceiver::feed(std::span<const std::byte> bytes) {
  while (!bytes.empty() && !is_over())
    bytes = bytes.subspan(body_left_ == 0 ? take_header(bytes) : take_body(bytes));
}

std::size_t StreamReceiver::take_header(std::span<const std::byte> bytes) {
  const std::size_t taken = std::min(bytes.size(), header_bytes_.size() - header_have_);
  std::copy_n(bytes.begin(), taken, header_bytes_.begin() + header_have_);
  header_have_ += taken;
  if (header_have_ < header_bytes_.size()) return taken;
  header_have_ = 0;
  auto header = parse_stream_header(header_bytes_, StreamSide::kGuest);
  if (!header) {
    protocol_error(header.error().what());
    return taken;
  }
  header_ = *header;
  begin_message();
  return taken;
}

// The body is still to come, but for those that have none.
void StreamReceiver::begin_message() {
  const bool opens = header_.type == StreamMessage::kOpen;
  if (opens != (state_ == State::kNew))
    return protocol_error(opens ? "it is open already" : "it is not open yet");
  if (header_.position != received_)
    return protocol_error(
        fmt::format("position {}, but {} bytes have come", header_.position, received_));
  body_left_ = header_.length;
  if (header_.type == StreamMessage::kSync) {
    make_durable();
    if (!is_over()) put_stream_message(replies_, StreamMessage::kAck, durable_);
  }
  if (header_.type == StreamMessage::kEnd) end();
}

std::size_t StreamReceiver::take_body(std::span<const std::byte> bytes) {
  const std::size_t taken = std::min<std::size_t>(bytes.size(), body_left_);
  body_left_ -= static_cast<std::uint32_t>(taken);
  if (header_.type == StreamMessage::kData) return take_data(bytes.first(taken));
  body_.insert(body_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
  if (body_left_ == 0) open();
  return taken;
}

std::size_t StreamReceiver::take_data(std::span<const std::byte> bytes) {
  if (auto written = store_.write(bytes); !written) {
    refuse(refusal_of(written.error()), written.error());
    return bytes.size();
  }
  received_ += bytes.size();
  if (received_ - durable_ >= kStreamSyncEvery) {
    make_durable();
    if (!is_over()) put_stream_message(replies_, StreamMessage::kAck, durable_);
  }
  return bytes.size();
}

void StreamReceiver::open() {
  StreamWireOpen open{};
  std::memcpy(&open, body_.data(), sizeof(open));
  if (std::string_view(open.magic.data(), open.magic.size()) != kStreamMagic)
    return protocol_error("no magic");
  if (open.version != kStreamVersion)
    return refuse(StreamRefusal::kProtocol,
                  Error(ErrorCode::kUnsupported,
                        fmt::format("version {} of the protocol is not known, only version {}",
                                    std::uint32_t{open.version}, kStreamVersion)));
  const std::string name(reinterpret_cast<const char*>(body_.data()) + sizeof(open),
                         body_.size() - sizeof(open));
  auto place = store_.open(name);
  if (!place) return refuse(refusal_of(place.error()), place.error());
  state_ = State::kOpen;
  name_ = place->name.substr(0, kMaxStreamFile);
  put_stream_message(replies_, StreamMessage::kAccept, place->room,
                     std::as_bytes(std::span(name_)));
}

void StreamReceiver::make_durable() {
  if (auto done = store_.make_durable(); !done)
    return refuse(refusal_of(done.error()), done.error());
  durable_ = received_;
}

void StreamReceiver::end() {
  make_durable();
  if (is_over()) return;
  if (auto done = store_.publish(); !done) return refuse(refusal_of(done.error()), done.error());
  put_stream_message(replies_, StreamMessage::kDone, durable_);
  state_ = State::kOver;
}

}  // namespace hadump
