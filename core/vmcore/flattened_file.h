// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <vector>

#include "core/base/units.h"
#include "core/vmcore/byte_file.h"

namespace hadump {

/// A record for every 512 KiB of a machine of 128 TiB.
inline constexpr std::size_t kMaxFlatRecords = std::size_t{1} << 28;
/// What the index may grow to, 32 bytes each (while it is made, some 80): where records follow each
/// other in the file as in what they make up, one entry stands for kFlatRunRecords of them.
inline constexpr std::size_t kMaxFlatExtents = std::size_t{1} << 22;
inline constexpr std::size_t kFlatRunRecords = 64;
/// A file has room for fewer entries: kFewFlatExtents, and one for each kBytesPerFlatExtent.
inline constexpr std::size_t kFewFlatExtents = 4096;
inline constexpr std::uint64_t kBytesPerFlatExtent = 64;
/// What is put together may have holes, such as pages of zeros, but is at most so much larger than
/// the flattened file: a kernel has 64 bytes that are not zero for each page of the machine.
inline constexpr std::uint64_t kMaxFlatHole = 1_GiB;
inline constexpr std::uint64_t kMaxFlatGrowth = 4096;

/// A flattened dump (makedumpfile -F), put together while it is read: records of offset, length
/// and bytes in any order, of which a later one overwrites an earlier one.
///
/// A file that ends in the middle of a record, or has no end record, is what a broken pipe leaves:
/// what is there is readable, and is_truncated() says so.
///
/// Source: makedumpfile's IMPLEMENTATION, "The flattened format".
class FlattenedFile : public ByteFile {
 public:
  /// True when the file begins as a flattened one does.
  static bool recognises(const ByteFile& file);

  /// @return kUnsupported for another type or version; kBadData for records that wrap around, or
  ///         for more of them, or in more pieces, than the limits above.
  static Result<std::unique_ptr<FlattenedFile>> open(std::unique_ptr<ByteFile> file);

  std::uint64_t size() const override { return size_; }
  /// What no record gives reads as zeros.
  Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const override;
  Result<MemoryMapping> map(std::uint64_t offset, std::size_t bytes) const override;
  const std::string& name() const override { return file_->name(); }
  bool is_truncated() const override { return truncated_; }
  std::uint64_t next_data(std::uint64_t offset) const override;
  std::uint64_t content_bytes() const override { return file_->content_bytes(); }

 private:
  /// What consecutive records give, as far as later ones have not overwritten it.
  struct Extent {
    std::uint64_t begin = 0, end = 0;
    std::uint64_t origin = 0;  ///< Where the bytes of the first of these records go: <= begin.
    std::uint64_t source = 0;  ///< And where they are in the flattened file.
  };

  explicit FlattenedFile(std::unique_ptr<ByteFile> file) : file_(std::move(file)) {}
  Result<> index_records();
  const Extent* extent_at_or_after(std::uint64_t offset) const;
  class ReadAhead;
  Result<> read_extent(ReadAhead& file, const Extent& extent, std::span<std::byte> out,
                       std::uint64_t offset) const;

  std::unique_ptr<ByteFile> file_;
  std::vector<Extent> extents_;  // ascending, disjoint
  std::uint64_t size_ = 0;
  bool truncated_ = false;
};

}  // namespace hadump
