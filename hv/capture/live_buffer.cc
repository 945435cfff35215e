// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/live_buffer.h"

#include <sys/mman.h>

#include <cstring>

namespace hadump {

LiveBuffer::LiveBuffer(std::uint64_t frames) : bytes_(frames << kFrameShift) {
  void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return;
  data_ = static_cast<std::byte*>(memory);
  static_cast<void>(::mlock(data_, bytes_));  // or it is swapped out, perhaps, and the stop longer
}

LiveBuffer::~LiveBuffer() {
  if (data_ != nullptr) static_cast<void>(::munmap(data_, bytes_));
}

void copy_mappings(const std::vector<FrameMapping>& mappings, std::span<std::byte> out) {
  for (const FrameMapping& mapping : mappings) {
    const auto part = out.first(mapping.bytes().size());
    if (mapping.all_present()) {
      std::memcpy(part.data(), mapping.bytes().data(), part.size());
    } else {
      for (std::size_t i = 0; i < mapping.range().frames(); ++i) {
        std::byte* row = part.data() + i * kFrameSize;
        if (mapping.present(i))
          std::memcpy(row, mapping.frame(i).data(), kFrameSize);
        else
          std::memset(row, 0, kFrameSize);
      }
    }
    out = out.subspan(part.size());
  }
}

}  // namespace hadump
