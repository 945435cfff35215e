// SPDX-License-Identifier: GPL-2.0-or-later
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tests/lab/truth/truth_file.h"

namespace hadump::lab {

std::uint64_t frame_hash(std::span<const std::byte, kFrameSize> frame) {
  return XXH64(frame.data(), frame.size(), 0);
}

}  // namespace hadump::lab
