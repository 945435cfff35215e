#pragma once

#include <memory>
#include <vector>

#include "core/vmcore/byte_file.h"

namespace hadump {

inline constexpr std::size_t kMaxFlatRecords = std::size_t{1} << 22;

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

  /// @return kUnsupported for another type or version; kBadData for records that wrap around or
  ///         exceed kMaxFlatRecords.
  static Result<std::unique_ptr<FlattenedFile>> open(std::unique_ptr<ByteFile> file);

  std::uint64_t size() const override { return size_; }
  /// What no record gives reads as zeros.
  Result<> read_at(std::span<std::byte> out, std::uint64_t offset) const override;
  Result<MemoryMapping> map(std::uint64_t offset, std::size_t bytes) const override;
  const std::string& name() const override { return file_->name(); }
  bool is_truncated() const override { return truncated_; }

 private:
  struct Extent {
    std::uint64_t begin = 0, end = 0;
    std::uint64_t source = 0;  ///< Where `begin` is in the flattened file.
  };

  explicit FlattenedFile(std::unique_ptr<ByteFile> file) : file_(std::move(file)) {}
  Result<> index_records();

  std::unique_ptr<ByteFile> file_;
  std::vector<Extent> extents_;  // ascending, disjoint
  std::uint64_t size_ = 0;
  bool truncated_ = false;
};

}  // namespace hadump
