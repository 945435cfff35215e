// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/dump/sink.h"

namespace hadump {

/// A file as a power cut sees it: what was written reaches the disk only with make_durable(). The
/// `event` between any two of its steps may end the process. Can be full, too.
class PowerCutSink : public DumpSink {
 public:
  /// @param capacity  the first byte that does not fit; kNoSpace from there on.
  PowerCutSink(std::unique_ptr<DumpSink> inner, std::function<void()> event, std::uint64_t capacity)
      : inner_(std::move(inner)), event_(std::move(event)), capacity_(capacity) {}

  bool can_rewrite() const override { return true; }
  Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return keep(offset, bytes, true);
  }
  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return keep(offset, bytes, false);
  }
  Result<> make_durable() override;
  Result<> publish(std::uint64_t size) override;
  std::string location() const override { return inner_->location(); }

 private:
  struct Write {
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
    bool is_data = false;
  };
  Result<> keep(std::uint64_t offset, std::span<const std::byte> bytes, bool is_data);

  std::unique_ptr<DumpSink> inner_;
  std::function<void()> event_;
  std::uint64_t capacity_;
  std::vector<Write> pending_;
};

}  // namespace hadump
