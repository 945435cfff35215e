// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <vector>

#include "core/vmcore/byte_file.h"
#include "core/vmcore/kdump_layout.h"
#include "core/vmcore/page_expander.h"
#include "core/vmcore/source.h"

namespace hadump {

inline constexpr std::uint64_t kMaxKdumpFrames = std::uint64_t{1} << 40;  // 52 address bits
inline constexpr std::size_t kMaxKdumpParts = 256;
/// Ranges of valid frames: a real machine has tens, a ballooned guest thousands. Of a small file
/// fewer are accepted: kFewKdumpRanges and one for each kBytesPerKdumpRange.
inline constexpr std::size_t kMaxKdumpRanges = std::size_t{1} << 20;
inline constexpr std::size_t kFewKdumpRanges = std::size_t{1} << 16;
inline constexpr std::uint64_t kBytesPerKdumpRange = 64;

/// A kdump-compressed file of version 3 to 6 with 4 KiB pages (makedumpfile, QEMU, our own), or
/// the parts of a split one.
///
/// The layout's frames are those that the dumped machine had (first bitmap). One that was left out
/// reads as kAbsent, one that was lost or does not decompress as kFailed.
class KdumpVmcoreSource : public VmcoreSource {
 public:
  /// True when the file begins as a kdump-compressed one does.
  static bool recognises(const ByteFile& file);

  /// @param parts  one file, or all parts of a split dump in any order. With some parts missing,
  ///               their frames read as kFailed and the layout is marked incomplete.
  /// @return kUnsupported for other versions or block sizes; kBadData for tables that contradict
  ///         the file or each other, or exceed a limit above.
  static Result<std::unique_ptr<KdumpVmcoreSource>> open(
      std::vector<std::unique_ptr<ByteFile>> parts);

  const VmcoreLayout& layout() const override { return layout_; }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override;
  Result<FrameView> map(FrameRange range) const override { return copy_view(*this, range); }

  Result<FrameSet> present_in(FrameRange range) const override;

  /// Of the first part.
  const KdumpHeader& header() const { return header_; }
  const KdumpSubHeader& sub_header() const { return sub_header_; }

  /// The descriptor of a dumped frame; kNotFound for a frame that was left out, kBadData when the
  /// table cannot be read. For verification: pages that share an offset share their data.
  Result<KdumpPageDesc> descriptor(Gfn gfn) const;

 private:
  /// A block of the second bitmap in which something is set.
  struct DumpedBlock {
    std::uint64_t block = 0;
    std::uint64_t before = 0;  ///< Dumped frames of the part before it.
  };
  struct Part {
    std::unique_ptr<ByteFile> file;
    FrameRange range;  ///< What this part answers for.
    std::uint64_t valid_bitmap = 0, dumped_bitmap = 0, descriptors = 0;  ///< File offsets.
    std::vector<DumpedBlock> blocks;                                     // ascending
  };
  class Cursor;

  KdumpVmcoreSource() = default;
  Result<> add_part(std::unique_ptr<ByteFile> file);
  Result<> read_headers(const ByteFile& file);
  Result<> read_notes(const ByteFile& file);
  void take_facts();
  Result<std::uint64_t> count_dumped(Part& part);
  static bool ends_early(const Part& part, std::uint64_t dumped);
  Result<> read_valid_frames();
  void find_what_is_not_there();
  const Part* part_of(Gfn gfn) const;

  KdumpHeader header_;
  KdumpSubHeader sub_header_;
  std::uint64_t max_mapnr_ = 0;
  VmcoreLayout layout_;
  FrameSet without_descriptor_;  ///< While opening: dumped frames whose descriptors are not there.
  std::vector<Part> parts_;      // ascending
};

}  // namespace hadump
