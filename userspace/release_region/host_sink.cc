// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/host_sink.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/units.h"
#include "core/dump/flattened_sink.h"

namespace hadump {
namespace {

// A dump has many small records, and each message wakes the host.
constexpr std::size_t kMessageBytes = 256_KiB;

class HostPeer : public FlattenedPeer {
 public:
  HostPeer(std::unique_ptr<StreamSender> sender, std::shared_ptr<HostCopy> copy)
      : sender_(std::move(sender)), copy_(std::move(copy)) {
    waiting_.reserve(kMessageBytes);
    copy_->file = sender_->file();
  }

  Result<> write(std::span<const std::byte> head, std::span<const std::byte> body) override {
    if (auto put = put_all(head); !put) return put;
    return put_all(body);
  }
  Result<> make_durable() override {
    if (auto sent = send(); !sent) return sent;
    auto synced = sender_->sync();
    copy_->durable = sender_->durable();
    return synced;
  }
  Result<> end() override {
    if (auto sent = send(); !sent) return sent;
    auto ended = sender_->end();
    copy_->durable = sender_->durable();
    copy_->whole = ended.has_value();
    return ended;
  }

 private:
  Result<> put_all(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min(bytes.size(), kMessageBytes - waiting_.size()));
      waiting_.insert(waiting_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (waiting_.size() == kMessageBytes)
        if (auto sent = send(); !sent) return sent;
    }
    return {};
  }
  Result<> send() {
    auto sent = sender_->send(waiting_);
    waiting_.clear();
    copy_->durable = sender_->durable();
    return sent;
  }

  std::unique_ptr<StreamSender> sender_;
  std::shared_ptr<HostCopy> copy_;  // The sink's, which is gone when a save has failed.
  std::vector<std::byte> waiting_;
};

}  // namespace

Result<std::unique_ptr<DumpSink>> open_host_sink(std::unique_ptr<StreamSender> sender,
                                                 std::shared_ptr<HostCopy> copy) {
  const std::string name = "host:" + sender->file();
  return open_flattened_sink(std::make_unique<HostPeer>(std::move(sender), std::move(copy)), name);
}

}  // namespace hadump
