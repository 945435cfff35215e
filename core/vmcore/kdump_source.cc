// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/kdump_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "core/base/printable.h"
#include "core/vmcore/elf_source.h"

namespace hadump {
namespace {

constexpr std::uint64_t kFramesPerBlock = kFrameSize * 8;  // of a bitmap
constexpr std::size_t kWordsPerBlock = kFrameSize / 8;
constexpr std::int32_t kMinVersion = 3, kMaxVersion = 6;
constexpr std::uint64_t kMaxPageBytes = 2 * kFrameSize;
constexpr std::size_t kDescBatch = 64;

using BitmapBlock = std::array<std::uint64_t, kWordsPerBlock>;

template <typename T>
Result<T> read_struct(const ByteFile& file, std::uint64_t at) {
  T value{};
  if (auto r = file.read_at(std::as_writable_bytes(std::span(&value, 1)), at); !r)
    return fail(std::move(r));
  return value;
}

Result<> read_bitmap_block(const ByteFile& file, std::uint64_t bitmap, std::uint64_t block,
                           BitmapBlock& out) {
  return file.read_at(std::as_writable_bytes(std::span(out)), bitmap + block * kFrameSize);
}

bool bit(const BitmapBlock& block, std::uint64_t index) {
  return ((block[index / 64] >> (index % 64)) & 1) != 0;
}

/// Set bits in [begin, end) of a block.
std::uint64_t count_bits(const BitmapBlock& block, std::uint64_t begin, std::uint64_t end) {
  std::uint64_t count = 0;
  for (std::uint64_t word = begin / 64; word * 64 < end; ++word) {
    std::uint64_t bits = block[word];
    if (word * 64 < begin) bits &= ~std::uint64_t{0} << (begin % 64);
    if ((word + 1) * 64 > end) bits &= (std::uint64_t{1} << (end % 64)) - 1;
    count += static_cast<std::uint64_t>(std::popcount(bits));
  }
  return count;
}

/// What other machines wrote has other struct pages and page tables, perhaps other sizes of pages.
/// QEMU leaves the name out at times.
Result<> check_machine(const KdumpHeader& header) {
  const auto swapped =
      static_cast<std::int32_t>(__builtin_bswap32(static_cast<std::uint32_t>(header.version)));
  if (kMinVersion <= swapped && swapped <= kMaxVersion)
    return fail(ErrorCode::kUnsupported, "not a dump of an x86-64 machine: it is big-endian");
  const auto& text = header.utsname.machine;
  const std::string machine(text.begin(), std::find(text.begin(), text.end(), '\0'));
  if (machine.empty() || machine == "x86_64") return {};
  return fail(ErrorCode::kUnsupported,
              fmt::format("not a dump of an x86-64 machine: {}", printable(machine)));
}

}  // namespace

/// Reads descriptors and pages in ascending order, with the bitmap block and the descriptors that
/// were used last at hand.
class KdumpVmcoreSource::Cursor {
 public:
  /// nullopt: left out.
  Result<std::optional<KdumpPageDesc>> descriptor(const Part& part, Gfn gfn) {
    const std::uint64_t block = gfn.value / kFramesPerBlock;
    if (part_ != &part || block_ != block) {
      part_ = nullptr;
      if (auto r = read_bitmap_block(*part.file, part.dumped_bitmap, block, bits_); !r)
        return fail(std::move(r));
      part_ = &part;
      block_ = block;
      batch_count_ = 0;
    }
    const std::uint64_t index = gfn.value % kFramesPerBlock;
    if (!bit(bits_, index)) return std::optional<KdumpPageDesc>();
    const std::uint64_t from =
        std::max(block * kFramesPerBlock, part.range.begin.value) - block * kFramesPerBlock;
    return numbered(part, part.dumped_before[block] + count_bits(bits_, from, index));
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
  std::array<KdumpPageDesc, kDescBatch> batch_{};
  std::uint64_t batch_first_ = 0;
  std::size_t batch_count_ = 0;
  std::array<std::byte, kMaxPageBytes> data_{};
  PageExpander expander_;
};

bool KdumpVmcoreSource::recognises(const ByteFile& file) {
  std::array<char, 8> signature{};
  const bool read{file.read_at(std::as_writable_bytes(std::span(signature)), 0)};
  return read && signature == KdumpHeader().signature;
}

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
  return source;
}

Result<> KdumpVmcoreSource::read_headers(const ByteFile& file) {
  auto header = read_struct<KdumpHeader>(file, 0);
  if (!header || header->signature != KdumpHeader().signature)
    return fail(ErrorCode::kUnsupported, "not a kdump-compressed file");
  if (auto machine = check_machine(*header); !machine) return machine;
  if (header->version < kMinVersion || header->version > kMaxVersion ||
      header->block_size != static_cast<std::int32_t>(kFrameSize))
    return fail(ErrorCode::kUnsupported, fmt::format("version {} with blocks of {} bytes",
                                                     header->version, header->block_size));
  auto sub_header = read_struct<KdumpSubHeader>(file, kFrameSize);
  if (!sub_header) return fail(std::move(sub_header), "reading the sub header");
  const bool wide = header->version >= 6;
  const std::uint64_t max_mapnr = wide ? sub_header->max_mapnr_64 : header->max_mapnr;
  const auto sub_blocks = static_cast<std::uint64_t>(std::max(header->sub_header_blocks, 0));
  const std::uint64_t bitmap_blocks = header->bitmap_blocks / 2;
  if (sub_blocks < 1 || sub_blocks > kMaxNoteBytes / kFrameSize || max_mapnr == 0 ||
      max_mapnr > kMaxKdumpFrames || max_mapnr > bitmap_blocks * kFramesPerBlock)
    return fail(ErrorCode::kBadData,
                fmt::format("{} sub header blocks, {} bitmap blocks for {} frames", sub_blocks,
                            header->bitmap_blocks, max_mapnr));
  if (!fits((1 + sub_blocks) * kFrameSize, 2 * bitmap_blocks * kFrameSize, file.size()))
    return fail(ErrorCode::kBadData, "the bitmaps are past the end");
  if (!parts_.empty() && max_mapnr != max_mapnr_)
    return fail(ErrorCode::kBadData, "not a part of the same dump");
  header_ = *header;
  sub_header_ = *sub_header;
  max_mapnr_ = max_mapnr;
  return {};
}

Result<> KdumpVmcoreSource::add_part(std::unique_ptr<ByteFile> file) {
  if (auto r = read_headers(*file); !r) return fail(std::move(r));
  if (parts_.empty())
    if (auto r = read_notes(*file); !r) return fail(std::move(r));
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

Result<> KdumpVmcoreSource::read_notes(const ByteFile& file) {
  const auto load = [&](std::uint64_t offset,
                        std::uint64_t size) -> Result<std::vector<std::byte>> {
    if (size > kMaxNoteBytes || !fits(offset, size, file.size()))
      return fail(ErrorCode::kBadData, fmt::format("notes of {} bytes at {:#x}", size, offset));
    std::vector<std::byte> bytes(size);
    if (auto r = file.read_at(bytes, offset); !r) return fail(std::move(r), "reading the notes");
    return bytes;
  };
  if (header_.version >= 4 && sub_header_.note_size > 0) {
    auto bytes = load(sub_header_.note_offset, sub_header_.note_size);
    if (!bytes) return fail(std::move(bytes));
    auto notes = parse_notes(*bytes);
    if (!notes) return fail(std::move(notes));
    layout_.notes = std::move(*notes);
  }
  if (vmcoreinfo_text(layout_).empty() && sub_header_.vmcoreinfo_size > 0) {
    auto bytes = load(sub_header_.vmcoreinfo_offset, sub_header_.vmcoreinfo_size);
    if (!bytes) return fail(std::move(bytes));
    layout_.notes.push_back({"VMCOREINFO", 0, std::move(*bytes)});
  }
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

Result<std::uint64_t> KdumpVmcoreSource::count_dumped(Part& part) const {
  const std::uint64_t blocks = (max_mapnr_ + kFramesPerBlock - 1) / kFramesPerBlock;
  part.dumped_before.reserve(blocks);
  BitmapBlock bits;
  std::uint64_t dumped = 0;
  for (std::uint64_t block = 0; block < blocks; ++block) {
    part.dumped_before.push_back(dumped);
    const std::uint64_t first = block * kFramesPerBlock;
    const std::uint64_t begin = std::max(first, part.range.begin.value);
    const std::uint64_t end = std::min(first + kFramesPerBlock, part.range.end.value);
    if (begin >= end) continue;
    if (auto r = read_bitmap_block(*part.file, part.dumped_bitmap, block, bits); !r)
      return fail(std::move(r));
    dumped += count_bits(bits, begin - first, end - first);
  }
  return dumped;
}

/// The first bitmap: the same in every part.
Result<> KdumpVmcoreSource::read_valid_frames() {
  const Part& part = parts_.front();
  BitmapBlock bits;
  constexpr std::uint64_t kNoRange = ~std::uint64_t{0};
  std::uint64_t open = kNoRange;  // where the current range begins
  const auto close = [&](std::uint64_t end) {
    if (open != kNoRange) layout_.frames.insert({Gfn{open}, Gfn{end}});
    open = kNoRange;
  };
  for (std::uint64_t first = 0; first < max_mapnr_; first += kFramesPerBlock) {
    if (auto r = read_bitmap_block(*part.file, part.valid_bitmap, first / kFramesPerBlock, bits);
        !r)
      return fail(std::move(r), "reading the first bitmap");
    for (std::size_t word = 0; word < kWordsPerBlock; ++word) {
      const std::uint64_t base = first + word * 64;
      if (bits[word] == ~std::uint64_t{0} && open != kNoRange && base + 64 <= max_mapnr_) continue;
      for (std::uint64_t pfn = base; pfn < std::min(base + 64, max_mapnr_); ++pfn) {
        if (((bits[word] >> (pfn - base)) & 1) == 0)
          close(pfn);
        else if (open == kNoRange)
          open = pfn;
      }
    }
    if (layout_.frames.ranges().size() > kMaxKdumpRanges)
      return fail(ErrorCode::kBadData, fmt::format("more than {} ranges", kMaxKdumpRanges));
  }
  close(max_mapnr_);
  for (FrameRange range : layout_.frames.ranges())
    layout_.segments.push_back(
        {GuestVirt{0}, address_of(range.begin), range.bytes(), range.bytes(), 0});
  return {};
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

Result<KdumpPageDesc> KdumpVmcoreSource::descriptor(Gfn gfn) const {
  const Part* part = part_of(gfn);
  if (part == nullptr) return fail(ErrorCode::kNotFound, "the frame is in no part");
  auto desc = Cursor().descriptor(*part, gfn);
  if (!desc) return fail(std::move(desc));
  if (!*desc) return fail(ErrorCode::kNotFound, "the frame was left out");
  return **desc;
}

}  // namespace hadump
