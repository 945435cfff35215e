// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/stream/replies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "core/base/printable.h"

namespace hadump {
namespace {

constexpr const char* kBroken = "the host breaks the protocol";

tl::unexpected<Error> broken(const std::string& what) {
  return fail(ErrorCode::kBadData, fmt::format("{}: {}", kBroken, what));
}

}  // namespace

Result<> StreamReplies::feed(std::span<const std::byte> bytes, std::uint64_t sent) {
  while (!bytes.empty() && !error_) {
    std::size_t taken = 0;
    if (body_left_ == 0) {
      taken = std::min(bytes.size(), header_bytes_.size() - header_have_);
      std::copy_n(bytes.begin(), taken, header_bytes_.begin() + header_have_);
      header_have_ += taken;
      if (header_have_ < header_bytes_.size()) return {};
      header_have_ = 0;
      auto header = parse_stream_header(header_bytes_, StreamSide::kHost);
      if (!header) error_ = std::move(header).error().during(kBroken);
      if (header) header_ = *header;
      body_left_ = header_.length;
      body_.clear();
    } else {
      taken = std::min<std::size_t>(bytes.size(), body_left_);
      body_.insert(body_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
      body_left_ -= static_cast<std::uint32_t>(taken);
    }
    bytes = bytes.subspan(taken);
    if (error_ || body_left_ != 0) continue;
    if (auto done = take_message(sent); !done) error_ = std::move(done).error();
  }
  if (error_) return tl::unexpected(*error_);
  return {};
}

Result<> StreamReplies::take_position(std::uint64_t sent) {
  if (header_.position < durable_ || header_.position > sent)
    return broken(fmt::format("{} bytes are said to be durable, after {}, with {} sent",
                              header_.position, durable_, sent));
  durable_ = header_.position;
  return {};
}

Result<> StreamReplies::take_message(std::uint64_t sent) {
  const bool opens = header_.type == StreamMessage::kAccept;
  const bool ends = header_.type == StreamMessage::kError;
  if (done_ || (!ends && opens == accepted_))
    return broken(fmt::format("a message of type {:#x} out of turn",
                              static_cast<std::uint32_t>(header_.type)));
  const std::string_view text(reinterpret_cast<const char*>(body_.data()), body_.size());
  if (opens) {
    accepted_ = true;
    room_ = header_.position;
    file_ = printable(text);
    return {};
  }
  if (auto taken = take_position(sent); !taken) return taken;
  if (ends) {
    le32 code;
    std::memcpy(&code, body_.data(), sizeof(code));
    return tl::unexpected(error_of_refusal(code, text.substr(sizeof(code))));
  }
  if (header_.type != StreamMessage::kDone) return {};
  if (durable_ != sent)
    return broken(fmt::format("{} bytes are said to be all, with {} sent", durable_, sent));
  done_ = true;
  return {};
}

}  // namespace hadump
