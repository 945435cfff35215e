// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hv/domain/guest_memory.h"

namespace hadump {

/// Memory that is there when it is needed: while a guest is stopped, nobody waits for a page.
class LiveBuffer {
 public:
  explicit LiveBuffer(std::uint64_t frames);
  LiveBuffer(const LiveBuffer&) = delete;
  LiveBuffer& operator=(const LiveBuffer&) = delete;
  ~LiveBuffer();

  /// The host may have had none for it.
  bool is_there() const { return data_ != nullptr; }
  std::span<std::byte> all() const { return {data_, bytes_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_;
};

/// Copies what is mapped, one mapping after the other. What is not there any more is zeros.
/// @param out  with room for all.
void copy_mappings(const std::vector<FrameMapping>& mappings, std::span<std::byte> out);

}  // namespace hadump
