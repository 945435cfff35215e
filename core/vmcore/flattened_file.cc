// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/flattened_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <string_view>
#include <vector>

#include "core/base/endian.h"
#include "core/base/text.h"
#include "core/vmcore/read_struct.h"

namespace hadump {
namespace {

constexpr std::string_view kSignature = "makedumpfile";
constexpr std::uint64_t kHeaderBytes = 4096;
constexpr std::uint64_t kEnd = ~std::uint64_t{0};
/// Programs write thousands of bytes at a time.
constexpr std::uint64_t kSmallRecord = 1024;
constexpr std::uint64_t kReadAhead = 64 << 10;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 62;

struct FileHeader {
  std::array<char, 16> signature;
  be64 type;
  be64 version;
};

struct RecordHeader {
  be64 offset;
  be64 bytes;
};

/// Extents of the file as it should be, by begin; later insertions win.
class ExtentMap {
 public:
  struct Value {
    std::uint64_t end = 0, origin = 0, source = 0;
  };

  /// The next record of the flattened file: [begin, end) comes from `source` on.
  void overwrite(std::uint64_t begin, std::uint64_t end, std::uint64_t source) {
    clear(begin, end);
    const bool follows = run_records_ > 0 && run_records_ < kFlatRunRecords && begin == run_end_ &&
                         source == run_source_end_ + sizeof(RecordHeader);
    if (follows) {
      // No record lies between, so nothing has touched the run's extent.
      extents_[run_begin_].end = end;
      ++run_records_;
    } else {
      extents_[begin] = {end, begin, source};
      run_begin_ = begin;
      run_records_ = 1;
    }
    run_end_ = end;
    run_source_end_ = source + (end - begin);
  }

  const std::map<std::uint64_t, Value>& extents() const { return extents_; }

 private:
  void clear(std::uint64_t begin, std::uint64_t end) {
    auto at = extents_.lower_bound(begin);
    if (at != extents_.begin()) {
      Value& before = std::prev(at)->second;
      if (before.end > end) extents_[end] = before;
      before.end = std::min(before.end, begin);
    }
    while (at != extents_.end() && at->first < end) {
      if (at->second.end > end) extents_[end] = at->second;
      // The run that is cut here is not at its end any more.
      if (at->first == run_begin_) run_records_ = 0;
      at = extents_.erase(at);
    }
  }

  std::map<std::uint64_t, Value> extents_;
  /// The extent that the last records went to.
  std::uint64_t run_begin_ = 0, run_end_ = 0, run_source_end_ = 0;
  std::size_t run_records_ = 0;
};

}  // namespace

bool FlattenedFile::recognises(const ByteFile& file) {
  const auto header = read_struct<FileHeader>(file, 0);
  return header && std::string_view(header->signature.data(), kSignature.size()) == kSignature;
}

Result<std::unique_ptr<FlattenedFile>> FlattenedFile::open(std::unique_ptr<ByteFile> file) {
  const auto header = read_struct<FileHeader>(*file, 0);
  if (!header || header->type != 1 || header->version != 1)
    return fail(ErrorCode::kUnsupported, file->name() + " is not a flattened dump of version 1");
  std::unique_ptr<FlattenedFile> flat(new FlattenedFile(std::move(file)));
  if (auto r = flat->index_records(); !r) return fail(std::move(r), flat->name());
  return flat;
}

Result<> FlattenedFile::index_records() {
  ExtentMap map;
  const std::uint64_t max_extents = std::min<std::uint64_t>(
      kMaxFlatExtents, kFewFlatExtents + file_->size() / kBytesPerFlatExtent);
  std::uint64_t at = kHeaderBytes;
  truncated_ = true;
  for (std::size_t records = 0;; ++records) {
    const auto header = read_struct<RecordHeader>(*file_, at);
    if (!header) break;
    if (header->offset == kEnd && header->bytes == kEnd) {
      truncated_ = false;
      break;
    }
    if (records == kMaxFlatRecords)
      return fail(ErrorCode::kBadData, fmt::format("more than {} records", kMaxFlatRecords));
    const std::uint64_t begin = header->offset;
    if (!fits(begin, header->bytes, kMaxFileBytes))
      return fail(ErrorCode::kBadData,
                  fmt::format("a record of {:#x} bytes for {:#x}",
                              static_cast<std::uint64_t>(header->bytes), begin));
    at += sizeof(RecordHeader);
    const std::uint64_t there = at < file_->size() ? file_->size() - at : 0;
    const std::uint64_t bytes = std::min<std::uint64_t>(header->bytes, there);
    if (bytes > 0) map.overwrite(begin, begin + bytes, at);
    if (map.extents().size() > max_extents)
      return fail(ErrorCode::kBadData, fmt::format("more than {} pieces", max_extents));
    if (bytes < header->bytes) break;
    at += bytes;
  }
  extents_.reserve(map.extents().size());
  for (const auto& [begin, value] : map.extents())
    extents_.push_back({begin, value.end, value.origin, value.source});
  size_ = extents_.empty() ? 0 : extents_.back().end;
  if (size_ > kMaxFlatHole && (size_ - kMaxFlatHole) / kMaxFlatGrowth > file_->size())
    return fail(ErrorCode::kBadData, fmt::format("records for a file of {} in one of {}",
                                                 format_size(size_), format_size(file_->size())));
  return {};
}

const FlattenedFile::Extent* FlattenedFile::extent_at_or_after(std::uint64_t offset) const {
  const auto found = std::upper_bound(
      extents_.begin(), extents_.end(), offset,
      [](std::uint64_t value, const Extent& candidate) { return value < candidate.end; });
  return found == extents_.end() ? nullptr : &*found;
}

std::uint64_t FlattenedFile::next_data(std::uint64_t offset) const {
  const Extent* const extent = extent_at_or_after(offset);
  return extent == nullptr ? std::max(offset, size_) : std::max(offset, extent->begin);
}

/// Reads a file as asked, or more at a time where what comes next is small and close together.
class FlattenedFile::ReadAhead {
 public:
  explicit ReadAhead(const ByteFile& file) : file_(file) {}

  void read_ahead(bool on) { reads_ahead_ = on; }

  Result<> read_at(std::span<std::byte> out, std::uint64_t at) {
    if (!reads_ahead_ || out.size() > kReadAhead) return file_.read_at(out, at);
    if (at < begin_ || at + out.size() > begin_ + bytes_.size()) {
      const std::uint64_t there = file_.size() - std::min(at, file_.size());
      bytes_.resize(std::max<std::size_t>(out.size(), std::min(kReadAhead, there)));
      begin_ = at;
      if (auto r = file_.read_at(bytes_, at); !r) return r;
    }
    std::memcpy(out.data(), bytes_.data() + (at - begin_), out.size());
    return {};
  }

 private:
  const ByteFile& file_;
  bool reads_ahead_ = false;
  std::uint64_t begin_ = 0;
  std::vector<std::byte> bytes_;
};

Result<> FlattenedFile::read_at(std::span<std::byte> out, std::uint64_t offset) const {
  if (!fits(offset, out.size(), size_))
    return fail(ErrorCode::kBadData,
                fmt::format("{}: {} bytes at {:#x} are past the end", name(), out.size(), offset));
  const Extent* extent = extent_at_or_after(offset);
  const Extent* const end = extents_.data() + extents_.size();
  if (extent == nullptr) extent = end;
  ReadAhead file(*file_);
  while (!out.empty()) {
    const bool inside = extent != end && extent->begin <= offset;
    const std::uint64_t limit = extent == end ? offset + out.size()
                                : inside      ? extent->end
                                              : extent->begin;
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), limit - offset));
    if (inside) {
      if (auto r = read_extent(file, *extent, out.first(part), offset); !r)
        return fail(std::move(r));
      if (offset + part == extent->end) ++extent;
    } else {
      std::memset(out.data(), 0, part);
    }
    out = out.subspan(part);
    offset += part;
  }
  return {};
}

/// @pre [offset, offset + out.size()) lies inside the extent.
Result<> FlattenedFile::read_extent(ReadAhead& file, const Extent& extent, std::span<std::byte> out,
                                    std::uint64_t offset) const {
  std::uint64_t origin = extent.origin, source = extent.source;
  while (!out.empty()) {
    RecordHeader header{};
    if (auto r = file.read_at(std::as_writable_bytes(std::span(&header, 1)),
                              source - sizeof(RecordHeader));
        !r)
      return r;
    const std::uint64_t bytes = header.bytes;
    file.read_ahead(bytes < kSmallRecord);
    if (header.offset != origin || bytes == 0 || !fits(origin, bytes, kMaxFileBytes))
      return fail(ErrorCode::kBadData, name() + " changed while being read");
    if (offset < origin + bytes) {
      const std::uint64_t skip = offset - origin;
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), bytes - skip));
      if (auto r = file.read_at(out.first(part), source + skip); !r) return r;
      out = out.subspan(part);
      offset += part;
    }
    origin += bytes;
    source += bytes + sizeof(RecordHeader);
  }
  return {};
}

Result<MemoryMapping> FlattenedFile::map(std::uint64_t, std::size_t) const {
  return fail(ErrorCode::kUnsupported, "a flattened file is not in one piece");
}

}  // namespace hadump
