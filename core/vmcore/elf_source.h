// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/vmcore/byte_file.h"
#include "core/vmcore/source.h"

namespace hadump {

/// An ELF core of an x86-64 machine: /proc/vmcore, a file copied from it, QEMU's and our own.
///
/// Segments may lie anywhere in the file and overlap in physical memory (the first in address
/// order wins). A frame that a segment covers in part is read with zeros around that part. What a
/// truncated file lacks comes back as kFailed.
class ElfVmcoreSource : public VmcoreSource {
 public:
  /// @return kUnsupported: not a 64-bit little-endian x86-64 core; kBadData: headers that
  ///         contradict themselves or exceed a limit above; kOs: unreadable.
  static Result<std::unique_ptr<ElfVmcoreSource>> open(std::unique_ptr<ByteFile> file);

  const VmcoreLayout& layout() const override { return layout_; }
  Result<> read(Gfn first, std::span<std::byte> out, std::span<FrameStatus> status) const override;
  Result<FrameView> map(FrameRange range) const override;
  bool prefers_mapping() const override { return file_->prefers_mapping(); }

 private:
  /// Whole frames that lie together in the file.
  struct Piece {
    FrameRange range;
    std::uint64_t file_offset = 0;
  };
  /// Bytes of a frame that its segment covers only in part.
  struct Fragment {
    Gfn gfn;
    std::uint32_t begin = 0;
    std::uint32_t bytes = 0;
    std::uint64_t file_offset = 0;
  };

  explicit ElfVmcoreSource(std::unique_ptr<ByteFile> file) : file_(std::move(file)) {}
  void index_segments();
  void find_what_is_not_there();
  Result<> check_claims() const;
  void add_fragment(GuestPhys begin, std::uint64_t bytes, std::uint64_t file_offset);
  const Piece* piece_at_or_after(Gfn gfn) const;
  Result<> read_piece(const Piece& piece, Gfn first, std::span<std::byte> out,
                      std::span<FrameStatus> status) const;
  FrameStatus read_fragments(Gfn gfn, std::span<std::byte> out) const;

  std::unique_ptr<ByteFile> file_;
  VmcoreLayout layout_;
  std::vector<Piece> pieces_;        // ascending, disjoint
  std::vector<Fragment> fragments_;  // ascending
};

}  // namespace hadump
