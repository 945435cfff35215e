// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "core/stream/channel.h"

struct libxenvchan;

namespace hadump {

struct CloseVchan {
  void operator()(libxenvchan* vchan) const noexcept;
};
using VchanHandle = std::unique_ptr<libxenvchan, CloseVchan>;

/// ByteChannel over libxenvchan: memory that a guest and its host share. The peer writes the ring's
/// indexes; the library bounds what it reads there by the sizes that it has copied.
class VchanChannel : public ByteChannel {
 public:
  /// @param vchan  either end; made non-blocking.
  explicit VchanChannel(VchanHandle vchan);

  Result<std::size_t> read(std::span<std::byte> out) override;
  Result<std::size_t> write(std::span<const std::byte> bytes) override;
  Result<> wait(std::chrono::milliseconds patience) override;

  /// Whether the other end has ever been there.
  bool is_connected() const;

 private:
  VchanHandle vchan_;
};

}  // namespace hadump
