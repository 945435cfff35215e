// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hadump::lab {

inline constexpr std::size_t kFrameSize = 4096;
inline constexpr char kTruthMagic[8] = {'H', 'D', 'T', 'R', 'U', 'T', 'H', '1'};

/// A truth file is this header, then `frames` records, ascending by frame number.  Frames without a
/// record were not there.  Native byte order: writer and reader run on one kind of machine.
struct TruthHeader {
  char magic[8];
  std::uint64_t frames;
};

struct TruthRecord {
  std::uint64_t frame;  ///< Guest frame number.
  std::uint64_t hash;   ///< frame_hash() of its 4096 bytes.
};

/// Beside a truth file NAME lies NAME.kept: records of frames whose bytes were kept, ascending.
struct KeptFrame {
  std::uint64_t frame;
  std::byte bytes[kFrameSize];
};

/// XXH64, seed 0: accidents do not pass it, and it is quick without vector units.
std::uint64_t frame_hash(std::span<const std::byte, kFrameSize> frame);

}  // namespace hadump::lab
