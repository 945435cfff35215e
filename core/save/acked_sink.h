// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/base/unique_handle.h"
#include "core/dump/sink.h"

namespace hadump {

/// A flattened stream whose peer says what it has made safe: make_durable() waits for that. The
/// peer writes lines "ack BYTES", decimal: the first BYTES bytes of the stream are durable.
class AckedSink : public DumpSink {
 public:
  /// @param inner      a flattened sink to the same peer.
  /// @param ack        read until the acknowledgment comes; end of file is an error.
  /// @param cancelled  asked once a second while waiting.
  AckedSink(std::unique_ptr<DumpSink> inner, UniqueFd ack, std::function<bool()> cancelled)
      : inner_(std::move(inner)), ack_(std::move(ack)), cancelled_(std::move(cancelled)) {}

  bool can_rewrite() const override { return false; }
  Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return write_data(offset, bytes);
  }
  /// @return kBadData when the peer says something else; kOs when it is gone; kCancelled.
  Result<> make_durable() override;
  Result<> publish(std::uint64_t size) override;
  std::string location() const override { return inner_->location(); }

 private:
  Result<> read_more();
  Result<> take_line(std::string_view line);

  std::unique_ptr<DumpSink> inner_;
  UniqueFd ack_;
  std::function<bool()> cancelled_;
  // The flattened form: a header of 4096 bytes, then 16 bytes before each record.
  std::uint64_t sent_ = 4096;
  std::uint64_t acked_ = 0;
  std::string unread_;
};

}  // namespace hadump
