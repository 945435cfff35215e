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
#include "core/stream/store.h"
#include "core/stream/wire.h"

namespace hadump {

/// The host's side of one stream, on bytes: what the guest says goes in, in any pieces; what the
/// host says comes out. Trusts nothing. Keeps a header and an open message at most.
///
/// Threads: one at a time.
class StreamReceiver {
 public:
  /// @param store  borrowed.
  explicit StreamReceiver(StreamStore& store) : store_(store) {}

  /// Takes bytes of the guest's. What comes after the end of the stream is ignored.
  void feed(std::span<const std::byte> bytes);
  /// Ends the stream for a reason of the host's.
  void stop(const Error& error);

  /// What is to be said to the guest, in order. The caller erases what it has sent.
  std::vector<std::byte>& replies() { return replies_; }

  /// Nothing is expected of the guest any more: the last reply says why.
  bool is_over() const { return state_ == State::kOver; }
  /// Why the stream ended without a file; nothing when it has one or has not ended.
  const std::optional<Error>& error() const { return error_; }
  const std::string& name() const { return name_; }
  std::uint64_t received() const { return received_; }
  std::uint64_t durable() const { return durable_; }

 private:
  enum class State : std::uint8_t { kNew, kOpen, kOver };
  std::size_t take_header(std::span<const std::byte> bytes);
  std::size_t take_body(std::span<const std::byte> bytes);
  std::size_t take_data(std::span<const std::byte> bytes);
  void begin_message();
  void open();
  void make_durable();
  void end();
  void protocol_error(std::string what);
  void refuse(StreamRefusal why, const Error& error);

  StreamStore& store_;
  State state_ = State::kNew;
  std::array<std::byte, kStreamHeaderBytes> header_bytes_{};
  std::size_t header_have_ = 0;
  StreamHeader header_;
  std::uint32_t body_left_ = 0;
  std::vector<std::byte> body_;  ///< Of kOpen only.
  std::string name_;
  std::uint64_t received_ = 0;
  std::uint64_t durable_ = 0;
  std::optional<Error> error_;
  std::vector<std::byte> replies_;
};

}  // namespace hadump
