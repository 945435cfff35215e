// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hadump {

/// XXH64 with seed 0.
std::uint64_t checksum(std::span<const std::byte> bytes);

/// LOW is checked in pieces of this size, so that several threads can do it: its checksum is the
/// XXH64 of the pieces' XXH64s, as little-endian integers one after the other.
inline constexpr std::uint64_t kChecksumPieceBytes = 2U << 20;
std::uint64_t combine_checksums(std::span<const std::uint64_t> pieces);

}  // namespace hadump
