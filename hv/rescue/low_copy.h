// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/frame_set.h"
#include "hv/domain/guest_memory.h"

namespace hadump {

/// The copy of the boot regions in the LOW section: made, and checked, in pieces of
/// kChecksumPieceBytes by several threads.
class LowCopy {
 public:
  /// @param regions  boot regions, one after the other in LOW; or where their content is now. Where
  ///                 such a piece ends within a region, it ends at a multiple of
  ///                 kChecksumPieceBytes of it.
  /// @param low      the frames of the LOW section.
  LowCopy(const GuestMemory& memory, std::span<const FrameRange> regions, FrameRange low);

  /// Copies; frames that are not there become zeros. @return the checksum of LOW.
  Result<std::uint64_t> copy();
  /// Reads LOW again. @return its checksum.
  Result<std::uint64_t> check();
  /// Everything that is still mapped. Unmapping takes as long as copying does (0.4 s for 256 MiB in
  /// the emulated lab), so whoever is in a hurry does it later.
  std::vector<FrameMapping> take_mappings();

 private:
  struct Piece {
    FrameRange from;
    Gfn to;
  };
  Result<std::uint64_t> for_each_piece(
      const std::function<Result<std::uint64_t>(const Piece&, std::size_t)>& work) const;

  const GuestMemory& memory_;
  std::vector<Piece> pieces_;
  // Kept between copy() and check(): mapping costs more than reading.
  std::vector<FrameMapping> copies_;
  std::vector<FrameMapping> sources_;
};

}  // namespace hadump
