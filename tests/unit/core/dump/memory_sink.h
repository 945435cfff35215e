// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/dump/sink.h"

namespace hadump {

/// What a MemorySink was given, in order. Outlives the sink, as a disk does.
struct SinkLog {
  struct Write {
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
  };
  std::vector<Write> writes;
  std::vector<std::size_t> syncs;  ///< writes.size() at each make_durable().
  std::optional<std::uint64_t> published_size;
  std::uint64_t total = 0;

  static void apply(std::vector<std::byte>& image, const Write& write) {
    const std::size_t end = write.offset + write.bytes.size();
    if (image.size() < end) image.resize(end);
    if (!write.bytes.empty())
      std::memcpy(image.data() + write.offset, write.bytes.data(), write.bytes.size());
  }

  /// The file after the first `count` writes: what a killed process leaves.
  std::vector<std::byte> image(std::size_t count = SIZE_MAX) const {
    std::vector<std::byte> image;
    for (std::size_t i = 0; i < std::min(count, writes.size()); ++i) apply(image, writes[i]);
    if (published_size && count >= writes.size()) image.resize(*published_size);
    return image;
  }

  /// The file after a power cut at write `count`: of what came after the last sync, any part.
  std::vector<std::byte> image_after_power_cut(std::size_t count, unsigned seed) const {
    std::size_t safe = 0;
    for (std::size_t sync : syncs)
      if (sync <= count) safe = sync;
    std::mt19937 random(seed);
    std::vector<std::byte> image = this->image(safe);
    for (std::size_t i = safe; i < count; ++i)
      if (random() % 2 == 0) apply(image, writes[i]);
    return image;
  }
};

enum class SinkCall { kData, kTable, kSync };

/// A sink in memory that can run full (or fail otherwise) at a given byte or call.
class MemorySink : public DumpSink {
 public:
  /// @param acknowledges  make_durable() means something although nothing can be rewritten.
  explicit MemorySink(std::shared_ptr<SinkLog> log, bool can_rewrite = true,
                      bool acknowledges = false)
      : log_(std::move(log)), can_rewrite_(can_rewrite), acknowledges_(acknowledges) {}

  /// Writing byte number `byte` (of all that are written) fails; what lies before it arrives.
  void fail_at(std::uint64_t byte, int errno_value) {
    fail_at_ = byte;
    errno_ = errno_value;
  }

  /// Asked before every call that does something; the errno that it fails with, or 0.
  void fail_when(std::function<int(SinkCall)> errno_of) { errno_of_ = std::move(errno_of); }

  bool can_rewrite() const override { return can_rewrite_; }

  Result<> write_data(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (bytes.empty()) return {};
    if (const int error = error_of(SinkCall::kData)) return fail_os(error, "writing data");
    return put(offset, bytes);
  }

  Result<> write_table(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (const int error = error_of(SinkCall::kTable)) return fail_os(error, "writing a table");
    return put(offset, bytes);
  }

  Result<> make_durable() override {
    if (const int error = error_of(SinkCall::kSync)) return fail_os(error, "syncing");
    if (!can_rewrite_ && !acknowledges_) return fail(ErrorCode::kUnsupported, "a pipe");
    log_->syncs.push_back(log_->writes.size());
    return {};
  }

  Result<> publish(std::uint64_t size) override {
    log_->published_size = size;
    return {};
  }

  std::string location() const override { return "memory"; }

 private:
  int error_of(SinkCall call) const { return errno_of_ ? errno_of_(call) : 0; }

  Result<> put(std::uint64_t offset, std::span<const std::byte> bytes) {
    const std::uint64_t room = fail_at_ > log_->total ? fail_at_ - log_->total : 0;
    const auto arriving = bytes.first(std::min<std::size_t>(bytes.size(), room));
    if (!arriving.empty()) log_->writes.push_back({offset, {arriving.begin(), arriving.end()}});
    log_->total += arriving.size();
    if (arriving.size() < bytes.size()) return fail_os(errno_, "writing memory");
    return {};
  }

  std::shared_ptr<SinkLog> log_;
  bool can_rewrite_;
  bool acknowledges_;
  std::function<int(SinkCall)> errno_of_;
  std::uint64_t fail_at_ = ~std::uint64_t{0};
  int errno_ = 0;
};

}  // namespace hadump
