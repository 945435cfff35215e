// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/stream/sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hadump {
namespace {

constexpr std::chrono::milliseconds kAskEvery{1000};

}  // namespace

Result<bool> StreamSender::hear() {
  std::array<std::byte, 1024> buffer;
  auto got = channel_->read(buffer);
  if (!got) return fail(std::move(got), "the host has closed the stream");
  if (auto taken = replies_.feed(std::span(buffer).first(*got), sent_); !taken)
    return fail(std::move(taken));
  return *got != 0;
}

// What the host has said before it closed says more than that it did.
Error StreamSender::why_closed(Error error) {
  for (;;) {
    auto heard = hear();
    if (!heard && heard.error().os_errno() != EPIPE) return std::move(heard).error();
    if (!heard || !*heard) return error;
  }
}

// One wait, while the other side has not moved since a time.
Result<> StreamSender::stand_by(std::chrono::milliseconds since) {
  if (world_.cancelled && world_.cancelled()) return fail(ErrorCode::kCancelled, "stopped");
  if (world_.now() - since > world_.silence)
    return fail(
        ErrorCode::kBusy,
        fmt::format("the host has not answered for {} s",
                    std::chrono::duration_cast<std::chrono::seconds>(world_.silence).count()));
  return channel_->wait(std::min(world_.silence, kAskEvery));
}

Result<> StreamSender::say(std::span<const std::byte> bytes) {
  auto since = world_.now();
  while (!bytes.empty()) {
    auto written = channel_->write(bytes);
    if (!written)
      return tl::unexpected(
          why_closed(std::move(written).error().during("the host has closed the stream")));
    bytes = bytes.subspan(*written);
    // Also so that the host, which may be waiting to be heard, goes on.
    auto heard = hear();
    if (!heard) return fail(std::move(heard));
    if (*written != 0 || *heard)
      since = world_.now();
    else if (auto waited = stand_by(since); !waited)
      return waited;
  }
  return {};
}

Result<> StreamSender::say_message(StreamMessage type) {
  message_.clear();
  put_stream_message(message_, type, sent_);
  return say(message_);
}

Result<> StreamSender::await(const std::function<bool()>& condition) {
  auto since = world_.now();
  while (!condition()) {
    auto heard = hear();
    if (!heard) return fail(std::move(heard));
    if (*heard)
      since = world_.now();
    else if (auto waited = stand_by(since); !waited)
      return waited;
  }
  return {};
}

Result<> StreamSender::open(const std::string& name) {
  message_.clear();
  put_stream_open(message_, name);
  if (auto said = say(message_); !said) return said;
  return await([this] { return replies_.is_accepted(); });
}

Result<> StreamSender::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto body = bytes.first(std::min(bytes.size(), kMaxStreamData));
    message_.clear();
    put_stream_message(message_, StreamMessage::kData, sent_, body);
    // Before it is said: the host may acknowledge a part of it.
    sent_ += body.size();
    if (auto said = say(message_); !said) return said;
    bytes = bytes.subspan(body.size());
  }
  return {};
}

Result<> StreamSender::sync() {
  if (auto said = say_message(StreamMessage::kSync); !said) return said;
  return await([this] { return replies_.durable() == sent_; });
}

Result<> StreamSender::end() {
  if (auto said = say_message(StreamMessage::kEnd); !said) return said;
  return await([this] { return replies_.is_done(); });
}

}  // namespace hadump
