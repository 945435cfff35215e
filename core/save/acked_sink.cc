// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/acked_sink.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/text.h"

namespace hadump {
namespace {

constexpr std::uint64_t kRecordHeaderBytes = 16;
constexpr std::size_t kMaxAckLine = 64;
constexpr int kPollMs = 1000;

}  // namespace

Result<> AckedSink::write_data(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  if (auto written = inner_->write_data(offset, bytes); !written) return written;
  sent_ += kRecordHeaderBytes + bytes.size();
  return {};
}

Result<> AckedSink::take_line(std::string_view line) {
  constexpr std::string_view kWord = "ack ";
  const auto bytes = parse_decimal(line.starts_with(kWord) ? line.substr(kWord.size()) : "");
  if (!bytes || *bytes < acked_ || *bytes > sent_)
    return fail(
        ErrorCode::kBadData,
        fmt::format("invalid acknowledgment from the peer: '{}', with {} bytes sent", line, sent_));
  acked_ = *bytes;
  return {};
}

Result<> AckedSink::read_more() {
  pollfd poll_for{ack_.get(), POLLIN, 0};
  const int ready = ::poll(&poll_for, 1, kPollMs);
  if (ready < 0 && errno != EINTR) return fail_os(errno, "waiting for the peer");
  if (cancelled_ && cancelled_()) return fail(ErrorCode::kCancelled, "stopped");
  if (ready <= 0) return {};
  char buffer[256];
  const ssize_t got = ::read(ack_.get(), buffer, sizeof(buffer));
  if (got < 0 && errno != EINTR) return fail_os(errno, "reading the peer's acknowledgments");
  if (got == 0) return fail_os(EPIPE, "the peer disconnected before acknowledging everything");
  if (got > 0) unread_.append(buffer, static_cast<std::size_t>(got));
  return {};
}

Result<> AckedSink::make_durable() {
  while (acked_ < sent_) {
    const std::size_t end = unread_.find('\n');
    if (end == std::string::npos) {
      if (unread_.size() > kMaxAckLine)
        return fail(ErrorCode::kBadData, "invalid acknowledgment from the peer: an endless line");
      if (auto more = read_more(); !more) return more;
      continue;
    }
    if (auto taken = take_line(std::string_view(unread_).substr(0, end)); !taken) return taken;
    unread_.erase(0, end + 1);
  }
  return {};
}

Result<> AckedSink::publish(std::uint64_t size) {
  if (auto done = inner_->publish(size); !done) return done;
  sent_ += kRecordHeaderBytes;  // The end mark.
  return make_durable();
}

}  // namespace hadump
