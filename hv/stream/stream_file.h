// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include "core/base/held_file.h"
#include "core/base/unique_handle.h"
#include "core/stream/store.h"
#include "hv/stream/stream_directory.h"

namespace hadump {

/// The file that one stream may make. Nothing is touched before its open(). Destroyed without
/// publish(), it keeps its name, NAME-incomplete, or is removed when nothing of it was ever made
/// durable.
class StreamFile : public StreamStore {
 public:
  /// @param owner   borrowed.
  /// @param domain  its name, as dom0 knows it.
  StreamFile(StreamDirectory& owner, StreamLimits limits, StreamPolicy policy,
             const std::string& domain);
  StreamFile(const StreamFile&) = delete;
  StreamFile& operator=(const StreamFile&) = delete;
  ~StreamFile() override;

  Result<Place> open(const std::string& name) override;
  Result<> write(std::span<const std::byte> bytes) override;
  Result<> make_durable() override;
  Result<> publish() override;

 private:
  Result<> find_directory();
  Result<> create(const std::string& name);
  Result<HeldFile> new_name(const std::string& name) const;
  Result<std::uint64_t> free_bytes() const;

  StreamDirectory& owner_;
  StreamLimits limits_;
  StreamPolicy policy_;
  std::string directory_;
  bool counted_ = false;           ///< In the owner's account.
  std::optional<HeldFile> final_;  ///< Its name when it is whole.
  std::optional<HeldFile> partial_;
  UniqueFd fd_;
  std::uint64_t written_ = 0;
  bool durable_ = false;  ///< Some of it may have been acknowledged.
  bool published_ = false;
};

}  // namespace hadump
