// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "core/stream/store.h"
#include "core/stream/wire.h"

namespace hadump {

/// A StreamStore in memory. Like a disk, it forgets what was not made durable when the power goes.
class MemoryStore : public StreamStore {
 public:
  std::string chosen = "stream-1";  ///< What it calls a file without a name.
  std::uint64_t room = ~std::uint64_t{0};
  bool refuses_to_sync = false;
  std::function<void()> on_write = [] {};

  Result<Place> open(const std::string& name) override {
    if (!name.empty())
      if (auto fine = check_stream_name(name); !fine) return fail(std::move(fine));
    is_open_ = true;
    name_ = name.empty() ? chosen : name;
    return Place{name_, room};
  }
  Result<> write(std::span<const std::byte> bytes) override {
    on_write();
    if (bytes.size() > room - written_.size()) return fail(ErrorCode::kNoSpace, "no room");
    written_.insert(written_.end(), bytes.begin(), bytes.end());
    return {};
  }
  Result<> make_durable() override {
    if (refuses_to_sync) return fail_os(EIO, "making it durable");
    durable_ = written_.size();
    ++syncs_;
    return {};
  }
  Result<> publish() override {
    published_ = true;
    return {};
  }

  bool is_open() const { return is_open_; }
  bool is_published() const { return published_; }
  const std::string& name() const { return name_; }
  const std::vector<std::byte>& written() const { return written_; }
  std::size_t durable() const { return durable_; }
  unsigned syncs() const { return syncs_; }

 private:
  bool is_open_ = false;
  bool published_ = false;
  std::string name_;
  std::vector<std::byte> written_;
  std::size_t durable_ = 0;
  unsigned syncs_ = 0;
};

}  // namespace hadump
