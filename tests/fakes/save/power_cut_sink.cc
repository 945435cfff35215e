// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fakes/save/power_cut_sink.h"

namespace hadump {

Result<> PowerCutSink::keep(std::uint64_t offset, std::span<const std::byte> bytes, bool is_data) {
  if (offset + bytes.size() > capacity_) return fail(ErrorCode::kNoSpace, "the disk is full");
  pending_.push_back({offset, {bytes.begin(), bytes.end()}, is_data});
  return {};
}

Result<> PowerCutSink::make_durable() {
  event_();
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const Write& write = pending_[i];
    // Cut in the middle of the batch: some of it is on the disk, some is not.
    if (i == pending_.size() / 2) event_();
    auto done = write.is_data ? inner_->write_data(write.offset, write.bytes)
                              : inner_->write_table(write.offset, write.bytes);
    if (!done) return done;
  }
  pending_.clear();
  if (auto done = inner_->make_durable(); !done) return done;
  event_();
  return {};
}

Result<> PowerCutSink::publish(std::uint64_t size) {
  if (auto done = make_durable(); !done) return done;
  if (auto done = inner_->publish(size); !done) return done;
  event_();
  return {};
}

}  // namespace hadump
