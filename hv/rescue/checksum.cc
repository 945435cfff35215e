// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/rescue/checksum.h"

// Inlined: the header's own code, so that it is compiled for this program's flags and dom0 needs no
// further library.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>

namespace hadump {

static_assert(std::endian::native == std::endian::little, "the save area is little-endian");

std::uint64_t checksum(std::span<const std::byte> bytes) {
  return XXH64(bytes.data(), bytes.size(), 0);
}

std::uint64_t combine_checksums(std::span<const std::uint64_t> pieces) {
  return checksum(std::as_bytes(pieces));
}

}  // namespace hadump
