// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/kdump_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "core/vmcore/bitmap_block.h"

namespace hadump {
namespace {

constexpr std::uint64_t kMaxPageBytes = 2 * kFrameSize;
constexpr std::size_t kDescBatch = 64;
/// So many ranges of frames are known to be lost without looking; what is beyond is looked at.
constexpr std::size_t kMaxKnownLost = std::size_t{1} << 16;

}  // namespace

/// Reads descriptors and pages in ascending order, with the bitmap block and the descriptors that
/// were used last at hand.
class KdumpVmcoreSource::Cursor {
 public:
  /// nullopt: left out.
  Result<std::optional<KdumpPageDesc>> descriptor(const Part& part, Gfn gfn) {
    const std::uint64_t block = gfn.value / kBlockBits;
    if (part_ != &part || block_ != block)
      if (auto r = load_block(part, block); !r) return fail(std::move(r));
    const std::uint64_t index = gfn.value % kBlockBits;
    if (is_empty_ || !has_bit(bits_, index)) return std::optional<KdumpPageDesc>();
    if (index < counted_to_) count_from_start();
    rank_ += count_bits(bits_, counted_to_, index);
    counted_to_ = index;
    return numbered(part, rank_);
  }

  FrameStatus page(const Part& part, const KdumpPageDesc& desc, std::span<std::byte> out) {
    if (desc.offset == 0 || desc.size == 0 || desc.size > kMaxPageBytes)
      return FrameStatus::kFailed;
    if ((desc.flags & kKdumpExcludedVmemmap) != 0) return FrameStatus::kAbsent;
    const std::span<std::byte> data = std::span(data_).first(desc.size);
    if (!part.file->read_at(data, desc.offset)) return FrameStatus::kFailed;
    return expander_.expand(desc.flags, data, out) ? FrameStatus::kRead : FrameStatus::kFailed;
  }

 private:
  Result<> load_block(const Part& part, std::uint64_t block) {
    part_ = nullptr;
    const auto found = std::lower_bound(
        part.blocks.begin(), part.blocks.end(), block,
        [](const DumpedBlock& one, std::uint64_t number) { return one.block < number; });
    is_empty_ = found == part.blocks.end() || found->block != block;
    if (!is_empty_) {
      if (auto r = read_bitmap_block(*part.file, part.dumped_bitmap, block, bits_); !r) return r;
      before_ = found->before;
    }
    part_ = &part;
    block_ = block;
    batch_count_ = 0;
    count_from_start();
    return {};
  }

  void count_from_start() {
    const std::uint64_t first = block_ * kBlockBits;
    counted_to_ = std::max(first, part_->range.begin.value) - first;
    rank_ = before_;
  }

  Result<std::optional<KdumpPageDesc>> numbered(const Part& part, std::uint64_t rank) {
    if (rank < batch_first_ || rank >= batch_first_ + batch_count_) {
      const std::uint64_t at = part.descriptors + rank * sizeof(KdumpPageDesc);
      const std::uint64_t room = at < part.file->size() ? part.file->size() - at : 0;
      batch_count_ = static_cast<std::size_t>(
          std::min<std::uint64_t>(kDescBatch, room / sizeof(KdumpPageDesc)));
      batch_first_ = rank;
      const auto wanted = std::span(batch_).first(batch_count_);
      if (batch_count_ == 0 || !part.file->read_at(std::as_writable_bytes(wanted), at)) {
        batch_count_ = 0;
        return std::optional(KdumpPageDesc{});  // truncated: offset 0, lost
      }
    }
    return std::optional(batch_[rank - batch_first_]);
  }

  const Part* part_ = nullptr;
  std::uint64_t block_ = 0;
  BitmapBlock bits_{};
  bool is_empty_ = false;
  std::uint64_t before_ = 0;      // dumped frames of the part before this block
  std::uint64_t counted_to_ = 0;  // bit of this block
  std::uint64_t rank_ = 0;        // dumped frames of the part before that bit
  std::array<KdumpPageDesc, kDescBatch> batch_{};
  std::uint64_t batch_first_ = 0;
  std::size_t batch_count_ = 0;
  std::array<std::byte, kMaxPageBytes> data_{};
  PageExpander expander_;
};

Result<std::unique_ptr<KdumpVmcoreSource>> KdumpVmcoreSource::open(
    std::vector<std::unique_ptr<ByteFile>> parts) {
  if (parts.empty() || parts.size() > kMaxKdumpParts)
    return fail(ErrorCode::kBadData, fmt::format("{} parts", parts.size()));
  std::unique_ptr<KdumpVmcoreSource> source(new KdumpVmcoreSource());
  for (auto& file : parts) {
    const std::string name = file->name();
    if (auto r = source->add_part(std::move(file)); !r) return fail(std::move(r), name);
  }
  std::sort(source->parts_.begin(), source->parts_.end(),
            [](const Part& a, const Part& b) { return a.range.begin < b.range.begin; });
  Gfn covered{0};
  for (const Part& part : source->parts_) {
    if (part.range.begin < covered)
      return fail(ErrorCode::kBadData, part.file->name() + " overlaps another part");
    if (part.range.begin > covered) source->layout_.incomplete = true;
    covered = part.range.end;
  }
  if (covered.value < source->max_mapnr_) source->layout_.incomplete = true;
  if (auto r = source->read_valid_frames(); !r) return fail(std::move(r));
  source->find_what_is_not_there();
  return source;
}

Result<> KdumpVmcoreSource::add_part(std::unique_ptr<ByteFile> file) {
  if (auto r = read_headers(*file); !r) return fail(std::move(r));
  if (parts_.empty()) {
    if (auto r = read_notes(*file); !r) return fail(std::move(r));
    take_facts();
  }
  if ((header_.status & kKdumpIncomplete) != 0 || file->is_truncated()) layout_.incomplete = true;

  Part part;
  part.range = {Gfn{0}, Gfn{max_mapnr_}};
  if (sub_header_.split != 0) {
    const bool wide = header_.version >= 6;
    part.range = {Gfn{wide ? sub_header_.start_pfn_64 : sub_header_.start_pfn},
                  Gfn{wide ? sub_header_.end_pfn_64 : sub_header_.end_pfn}};
    part.range.end = std::min(part.range.end, Gfn{max_mapnr_});
    if (part.range.begin > part.range.end)
      return fail(ErrorCode::kBadData, fmt::format("a part from frame {:#x} to {:#x}",
                                                   part.range.begin.value, part.range.end.value));
  }
  const std::uint64_t bitmap_bytes = header_.bitmap_blocks / 2 * kFrameSize;
  part.valid_bitmap = (1 + static_cast<std::uint64_t>(header_.sub_header_blocks)) * kFrameSize;
  part.dumped_bitmap = part.valid_bitmap + bitmap_bytes;
  part.descriptors = part.dumped_bitmap + bitmap_bytes;
  part.file = std::move(file);
  auto dumped = count_dumped(part);
  if (!dumped) return fail(std::move(dumped), "reading the second bitmap");
  if (ends_early(part, *dumped)) layout_.incomplete = true;
  parts_.push_back(std::move(part));
  return {};
}

/// Whether the file was cut off: by its last descriptors, since data is written in their order.
bool KdumpVmcoreSource::ends_early(const Part& part, std::uint64_t dumped) {
  constexpr std::uint64_t kLastDescs = 1U << 18;
  constexpr std::uint64_t kAtOnce = 4096;
  const std::uint64_t size = part.file->size();
  if (!fits(part.descriptors, dumped * sizeof(KdumpPageDesc), size)) return true;
  std::vector<KdumpPageDesc> descs;
  for (std::uint64_t at = dumped - std::min(dumped, kLastDescs); at < dumped; at += descs.size()) {
    descs.resize(static_cast<std::size_t>(std::min(kAtOnce, dumped - at)));
    if (!part.file->read_at(std::as_writable_bytes(std::span(descs)),
                            part.descriptors + at * sizeof(KdumpPageDesc)))
      return true;
    for (const KdumpPageDesc& desc : descs)
      if (desc.offset != 0 && desc.size <= kMaxPageBytes && !fits(desc.offset, desc.size, size))
        return true;
  }
  return false;
}

Result<std::uint64_t> KdumpVmcoreSource::count_dumped(Part& part) {
  const ByteFile& file = *part.file;
  const std::uint64_t end_block = (part.range.end.value + kBlockBits - 1) / kBlockBits;
  BitmapBlock bits;
  std::uint64_t dumped = 0;
  for (std::uint64_t block = part.range.begin.value / kBlockBits;
       (block = next_block(file, part.dumped_bitmap, block)) < end_block; ++block) {
    const std::uint64_t first = block * kBlockBits;
    const std::uint64_t begin = std::max(first, part.range.begin.value) - first;
    const std::uint64_t end = std::min(first + kBlockBits, part.range.end.value) - first;
    if (auto r = read_bitmap_block(file, part.dumped_bitmap, block, bits); !r)
      return fail(std::move(r));
    const std::uint64_t count = count_bits(bits, begin, end);
    if (count == 0) continue;
    part.blocks.push_back({block, dumped});
    const std::uint64_t desc = part.descriptors + dumped * sizeof(KdumpPageDesc);
    dumped += count;
    if (desc < file.size() && file.next_data(desc) < desc + count * sizeof(KdumpPageDesc)) continue;
    for_each_run_of_bits(bits, begin, end, [&](std::uint64_t from, std::uint64_t to) {
      if (without_descriptor_.ranges().size() < kMaxKnownLost)
        without_descriptor_.insert({Gfn{first + from}, Gfn{first + to}});
    });
  }
  return dumped;
}

/// The first bitmap: the same in every part.
Result<> KdumpVmcoreSource::read_valid_frames() {
  const ByteFile& file = *parts_.front().file;
  const std::uint64_t bitmap = parts_.front().valid_bitmap;
  const std::uint64_t max_ranges = std::min<std::uint64_t>(
      kMaxKdumpRanges, kFewKdumpRanges + file.content_bytes() / kBytesPerKdumpRange);
  const std::uint64_t end_block = (max_mapnr_ + kBlockBits - 1) / kBlockBits;
  BitmapBlock bits;
  for (std::uint64_t block = 0; (block = next_block(file, bitmap, block)) < end_block; ++block) {
    const std::uint64_t first = block * kBlockBits;
    if (auto r = read_bitmap_block(file, bitmap, block, bits); !r)
      return fail(std::move(r), "reading the first bitmap");
    for_each_run_of_bits(bits, 0, std::min(kBlockBits, max_mapnr_ - first),
                         [&](std::uint64_t from, std::uint64_t to) {
                           layout_.frames.insert({Gfn{first + from}, Gfn{first + to}});
                         });
    if (layout_.frames.ranges().size() > max_ranges)
      return fail(ErrorCode::kBadData, fmt::format("more than {} ranges", max_ranges));
  }
  layout_.segments.reserve(layout_.frames.ranges().size());
  for (FrameRange range : layout_.frames.ranges())
    layout_.segments.push_back(
        {GuestVirt{0}, address_of(range.begin), range.bytes(), range.bytes(), 0});
  return {};
}

/// What is in parts that are not here is lost as well.
void KdumpVmcoreSource::find_what_is_not_there() {
  FrameSet claimed, elsewhere = layout_.frames;
  for (const Part& part : parts_) {
    elsewhere.erase(part.range);
    FrameSet of_part;
    for (const DumpedBlock& dumped : part.blocks) {
      const Gfn first{dumped.block * kBlockBits};
      of_part.insert({std::max(first, part.range.begin),
                      std::min(Gfn{first.value + kBlockBits}, part.range.end)});
    }
    claimed.insert(of_part);
  }
  layout_.lost = std::exchange(without_descriptor_, {}).intersection(layout_.frames);
  layout_.lost.insert(elsewhere);
  layout_.absent = layout_.frames;
  layout_.absent.erase(claimed);
  layout_.absent.erase(elsewhere);
}

const KdumpVmcoreSource::Part* KdumpVmcoreSource::part_of(Gfn gfn) const {
  for (const Part& part : parts_)
    if (part.range.contains(gfn)) return &part;
  return nullptr;
}

Result<> KdumpVmcoreSource::read(Gfn first, std::span<std::byte> out,
                                 std::span<FrameStatus> status) const {
  Cursor cursor;
  for (std::size_t i = 0; i < status.size(); ++i) {
    const Gfn gfn{first.value + i};
    const std::span<std::byte> row = out.subspan(i * kFrameSize, kFrameSize);
    const Part* part = part_of(gfn);
    status[i] = FrameStatus::kAbsent;
    if (part != nullptr) {
      const auto desc = cursor.descriptor(*part, gfn);
      if (!desc)
        status[i] = FrameStatus::kFailed;
      else if (*desc)
        status[i] = cursor.page(*part, **desc, row);
    } else if (layout_.frames.contains(gfn)) {
      status[i] = FrameStatus::kFailed;  // in a part that is not here
    }
    if (status[i] != FrameStatus::kRead) std::memset(row.data(), 0, row.size());
  }
  return {};
}

/// What was lost is in the dump, as its loss.
Result<FrameSet> KdumpVmcoreSource::present_in(FrameRange range) const {
  BitmapBlock bits;
  FrameSet dumped;
  for (const Part& part : parts_) {
    const FrameRange wanted{std::max(range.begin, part.range.begin),
                            std::min(range.end, part.range.end)};
    if (wanted.empty()) continue;
    auto at = std::lower_bound(
        part.blocks.begin(), part.blocks.end(), wanted.begin.value / kBlockBits,
        [](const DumpedBlock& one, std::uint64_t block) { return one.block < block; });
    for (; at != part.blocks.end() && at->block * kBlockBits < wanted.end.value; ++at) {
      const std::uint64_t first = at->block * kBlockBits;
      if (auto r = read_bitmap_block(*part.file, part.dumped_bitmap, at->block, bits); !r)
        return fail(std::move(r));
      for_each_run_of_bits(bits, std::max(wanted.begin.value, first) - first,
                           std::min(wanted.end.value, first + kBlockBits) - first,
                           [&](std::uint64_t from, std::uint64_t to) {
                             dumped.insert({Gfn{first + from}, Gfn{first + to}});
                           });
    }
  }
  dumped.insert(layout_.lost.intersection(range));
  return dumped.intersection(layout_.frames.intersection(range));
}

Result<KdumpPageDesc> KdumpVmcoreSource::descriptor(Gfn gfn) const {
  const Part* part = part_of(gfn);
  if (part == nullptr) return fail(ErrorCode::kNotFound, "the frame is in no part");
  auto desc = Cursor().descriptor(*part, gfn);
  if (!desc) return fail(std::move(desc));
  if (!*desc) return fail(ErrorCode::kNotFound, "the frame was left out");
  return **desc;
}

}  // namespace hadump
