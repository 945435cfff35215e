// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <vector>

#include "core/vmcore/source.h"

namespace hadump {

/// One dump out of several places that each hold a part of it: what an interrupted save wrote, and
/// what /proc/vmcore still shows.
///
/// Threads: as its parts.
class MergedVmcore : public VmcoreSource {
 public:
  struct Part {
    std::unique_ptr<VmcoreSource> source;
    FrameSet frames;  ///< What to take from it; a frame of an earlier part is not taken again.
  };

  /// Notes come from the first part that has any; segments from all, the first part's first.
  /// @pre parts is not empty.
  explicit MergedVmcore(std::vector<Part> parts);

  const VmcoreLayout& layout() const override { return layout_; }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override;
  Result<FrameView> map(FrameRange range) const override;
  /// Where one part does: it is then /proc/vmcore, to which reading is dearer than mapping is to
  /// files.
  bool prefers_mapping() const override;

 private:
  /// The part that `range` begins in, and how much of it lies there; no part for a hole.
  struct Slice {
    const VmcoreSource* source = nullptr;
    FrameRange range;
  };
  Slice first_slice(FrameRange range) const;

  struct Piece {
    FrameRange range;
    std::size_t part = 0;
  };
  std::vector<Part> parts_;
  std::vector<Piece> pieces_;  // ascending, disjoint
  VmcoreLayout layout_;
};

}  // namespace hadump
