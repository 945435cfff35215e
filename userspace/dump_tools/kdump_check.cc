// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/dump_tools/kdump_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "core/dump/page_test.h"
#include "core/vmcore/flattened_file.h"
#include "core/vmcore/kdump_layout.h"
#include "core/vmcore/kdump_source.h"
#include "userspace/cli/standard_input.h"
#include "userspace/dump_tools/extent_set.h"

namespace hadump {
namespace {

constexpr std::size_t kShownProblems = 20;
constexpr std::uint64_t kPieceBytes = 64_KiB;  // Of a bitmap, at a time.
constexpr std::size_t kDescBatch = 4096;
// A file that is written in order has one extent; one that has more than this is not checked on.
constexpr std::size_t kMaxExtents = std::size_t{1} << 18;
constexpr std::size_t kMaxShared = 16;

using Bits = std::vector<std::uint8_t>;

bool has_bit(const Bits& bits, std::uint64_t index) {
  return ((bits[index / 8] >> (index % 8)) & 1) != 0;
}

/// Where one part's tables are. The source has been opened: the headers make sense.
struct Part {
  const ByteFile* file = nullptr;
  FrameRange range;
  std::uint64_t max_frame = 0;
  std::uint64_t valid_bitmap = 0, dumped_bitmap = 0, descriptors = 0;
  bool incomplete = false;

  std::uint64_t bitmap_bytes() const { return (max_frame + 7) / 8; }
};

template <typename T>
Result<T> read_struct(const ByteFile& file, std::uint64_t offset) {
  T value;
  if (auto r = file.read_at(std::as_writable_bytes(std::span(&value, 1)), offset); !r)
    return fail(std::move(r), "reading a header");
  return value;
}

Result<Part> find_tables(const ByteFile& file) {
  const auto header = read_struct<KdumpHeader>(file, 0);
  if (!header) return fail(Result<KdumpHeader>(header));
  const auto sub = read_struct<KdumpSubHeader>(file, kFrameSize);
  if (!sub) return fail(Result<KdumpSubHeader>(sub));
  const bool wide = header->version >= 6;
  Part part;
  part.file = &file;
  part.max_frame = wide ? sub->max_mapnr_64 : header->max_mapnr;
  part.range = {Gfn{0}, Gfn{part.max_frame}};
  if (sub->split != 0)
    part.range = {Gfn{wide ? sub->start_pfn_64 : sub->start_pfn},
                  Gfn{std::min(part.max_frame, wide ? sub->end_pfn_64 : sub->end_pfn)}};
  const std::uint64_t bitmap = std::uint64_t{header->bitmap_blocks / 2} * kFrameSize;
  part.valid_bitmap = (1 + static_cast<std::uint64_t>(header->sub_header_blocks)) * kFrameSize;
  part.dumped_bitmap = part.valid_bitmap + bitmap;
  part.descriptors = part.dumped_bitmap + bitmap;
  part.incomplete = (header->status & kKdumpIncomplete) != 0;
  return part;
}

/// The first piece at or after `at` of a bitmap that may have bits: what is a hole in the file has
/// none.
std::uint64_t next_piece(const ByteFile& file, std::uint64_t bitmap, std::uint64_t at) {
  constexpr std::uint64_t kFarAway = std::uint64_t{1} << 50;
  const std::uint64_t next = std::min(file.next_data(bitmap + at), bitmap + kFarAway);
  return std::max(at, next > bitmap ? round_down(next - bitmap, kPieceBytes) : 0);
}

Result<Bits> read_bits(const ByteFile& file, std::uint64_t offset, std::uint64_t bytes) {
  Bits bits(bytes);
  if (auto r = file.read_at(std::as_writable_bytes(std::span(bits)), offset); !r)
    return fail(std::move(r), "reading a bitmap");
  return bits;
}

class Check {
 public:
  Check(std::vector<Part> parts, const VmcoreSource& source, const std::function<bool()>& cancelled)
      : parts_(std::move(parts)), source_(source), cancelled_(cancelled) {}

  Result<TableFindings> run() {
    for (const Part& part : parts_) {
      if (auto done = check_bitmaps(part); !done) return fail(std::move(done), part.file->name());
      if (auto done = check_descriptors(part); !done)
        return fail(std::move(done), part.file->name());
    }
    return std::move(found_);
  }

 private:
  void report(const Part& part, const std::string& text) {
    if (found_.problems++ < kShownProblems) found_.texts.push_back(part.file->name() + ": " + text);
  }
  Result<> check_bitmaps(const Part& part);
  Result<> check_descriptors(const Part& part);
  Result<> read_batch(const Part& part, std::uint64_t rank, std::uint64_t total);
  void check_page(const Part& part, Gfn gfn, const KdumpPageDesc& desc, std::uint64_t data_begin);
  bool may_share(Gfn gfn, const KdumpPageDesc& desc);

  std::vector<Part> parts_;
  const VmcoreSource& source_;
  const std::function<bool()>& cancelled_;
  TableFindings found_;
  ExtentSet extents_;  // of the part that is being looked at, as what follows
  bool scattered_ = false;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> shared_;  // offset and size of zero pages
  std::vector<KdumpPageDesc> batch_;
  std::uint64_t batch_first_ = 0;
};

Result<> Check::check_bitmaps(const Part& part) {
  const Part& first = parts_.front();
  const auto next = [&](std::uint64_t at) {
    std::uint64_t found = ~std::uint64_t{0};
    for (const Part* one : {&part, &first})
      for (const std::uint64_t bitmap : {one->valid_bitmap, one->dumped_bitmap})
        found = std::min(found, next_piece(*one->file, bitmap, at));
    return found;
  };
  for (std::uint64_t at = 0; (at = next(at)) < part.bitmap_bytes(); at += kPieceBytes) {
    if (cancelled_ && cancelled_()) return fail(ErrorCode::kCancelled, "checking the tables");
    const std::uint64_t bytes = std::min(kPieceBytes, part.bitmap_bytes() - at);
    const auto valid = read_bits(*part.file, part.valid_bitmap + at, bytes);
    if (!valid) return fail(Result<Bits>(valid));
    const auto dumped = read_bits(*part.file, part.dumped_bitmap + at, bytes);
    if (!dumped) return fail(Result<Bits>(dumped));
    for (std::uint64_t i = 0; i < bytes; ++i)
      if (((*dumped)[i] & ~(*valid)[i]) != 0)
        report(part, fmt::format("pages near {:#x} are marked as dumped, but not as memory",
                                 (at + i) * 8 * kFrameSize));
    if (part.file == first.file) continue;
    const auto same_valid = read_bits(*first.file, first.valid_bitmap + at, bytes);
    if (!same_valid) return fail(Result<Bits>(same_valid));
    const auto same_dumped = read_bits(*first.file, first.dumped_bitmap + at, bytes);
    if (!same_dumped) return fail(Result<Bits>(same_dumped));
    // Parts of a dump that was cut short need not be equally far.
    const bool may_differ = part.incomplete || first.incomplete;
    if (*valid != *same_valid || (*dumped != *same_dumped && !may_differ))
      report(part, fmt::format("its bitmaps differ from those of {} starting at {:#x}",
                               first.file->name(), at * 8 * kFrameSize));
  }
  return {};
}

// Makes the descriptor number `rank` the first of the batch.
Result<> Check::read_batch(const Part& part, std::uint64_t rank, std::uint64_t total) {
  // Counted a moment ago; a dump that is still being written can be looked at, too.
  if (rank >= total) return fail(ErrorCode::kBadData, "it changed while being read");
  batch_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kDescBatch, total - rank)));
  batch_first_ = rank;
  const std::uint64_t at = part.descriptors + rank * sizeof(KdumpPageDesc);
  return part.file->read_at(std::as_writable_bytes(std::span(batch_)), at);
}

Result<> Check::check_descriptors(const Part& part) {
  extents_ = {};
  shared_.clear();
  scattered_ = false;
  batch_.clear();
  batch_first_ = 0;
  std::uint64_t total = 0;
  for (const bool counting : {true, false}) {
    std::uint64_t rank = 0;
    const std::uint64_t data_begin = part.descriptors + total * sizeof(KdumpPageDesc);
    if (!counting && !fits(part.descriptors, data_begin - part.descriptors, part.file->size())) {
      report(part, "the descriptor table extends past the end of the file");
      return {};
    }
    const std::uint64_t begin = round_down(part.range.begin.value / 8, kPieceBytes);
    for (std::uint64_t at = begin;
         (at = next_piece(*part.file, part.dumped_bitmap, at)) * 8 < part.range.end.value;
         at += kPieceBytes) {
      if (cancelled_ && cancelled_()) return fail(ErrorCode::kCancelled, "checking the tables");
      const std::uint64_t bytes = std::min(kPieceBytes, part.bitmap_bytes() - at);
      const auto dumped = read_bits(*part.file, part.dumped_bitmap + at, bytes);
      if (!dumped) return fail(Result<Bits>(dumped));
      const std::uint64_t end = std::min(part.range.end.value, (at + bytes) * 8);
      for (std::uint64_t pfn = std::max(part.range.begin.value, at * 8); pfn < end; ++pfn) {
        if (!has_bit(*dumped, pfn - at * 8)) continue;
        if (!counting && rank >= batch_first_ + batch_.size())
          if (auto read = read_batch(part, rank, total); !read) return read;
        if (!counting) check_page(part, Gfn{pfn}, batch_[rank - batch_first_], data_begin);
        ++rank;
      }
    }
    total = rank;
  }
  if (scattered_) report(part, "the pages are too scattered to check whether they overlap");
  return {};
}

void Check::check_page(const Part& part, Gfn gfn, const KdumpPageDesc& desc,
                       std::uint64_t data_begin) {
  if (desc.offset == 0 || desc.size == 0) return;  // Lost, and the dump says so.
  const std::uint64_t address = address_of(gfn).value;
  if (desc.size > kFrameSize)
    report(part, fmt::format("the page at {:#x} has {} bytes", address, desc.size));
  else if (desc.offset < data_begin)
    report(part, fmt::format("the data of the page at {:#x} overlaps the tables", address));
  else if (!fits(desc.offset, desc.size, part.file->size()))
    report(part,
           fmt::format("the data of the page at {:#x} extends past the end of the file", address));
  else if (scattered_)
    return;
  else if (!extents_.take(desc.offset, desc.offset + desc.size) && !may_share(gfn, desc))
    report(part, fmt::format("the data of the page at {:#x} overlaps another page's", address));
  scattered_ = scattered_ || extents_.entries() > kMaxExtents;
}

// Only pages of zeros have their data together.
bool Check::may_share(Gfn gfn, const KdumpPageDesc& desc) {
  const std::pair key{desc.offset, desc.size};
  if (std::find(shared_.begin(), shared_.end(), key) != shared_.end()) return true;
  alignas(std::uint64_t) std::array<std::byte, kFrameSize> page{};
  FrameStatus status = FrameStatus::kFailed;
  const auto read = source_.read(gfn, page, {&status, 1});
  if (!read || status != FrameStatus::kRead || !is_zero_page(page)) return false;
  if (shared_.size() < kMaxShared) shared_.push_back(key);
  return true;
}

}  // namespace

Result<DumpFiles> open_dump_files(const std::vector<std::string>& paths) {
  DumpFiles files;
  for (const std::string& path : paths) {
    auto opened = open_input(path);
    if (!opened) return fail(std::move(opened));
    std::unique_ptr<ByteFile> file = std::move(*opened);
    if (FlattenedFile::recognises(*file)) {
      auto flat = FlattenedFile::open(std::move(file));
      if (!flat) return fail(std::move(flat));
      file = std::move(*flat);
    }
    files.push_back(std::move(file));
  }
  return files;
}

Result<TableFindings> check_kdump_tables(const DumpFiles& files, const VmcoreSource& source,
                                         const std::function<bool()>& cancelled) {
  std::vector<Part> parts;
  for (const auto& file : files) {
    if (!KdumpVmcoreSource::recognises(*file)) return TableFindings{};
    auto part = find_tables(*file);
    if (!part) return fail(std::move(part), file->name());
    parts.push_back(*part);
  }
  return Check(std::move(parts), source, cancelled).run();
}

}  // namespace hadump
