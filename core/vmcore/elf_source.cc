// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/vmcore/elf_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/text.h"
#include "core/vmcore/elf_headers.h"
#include "core/vmcore/elf_limits.h"

namespace hadump {
namespace {

/// The page itself is at fault, not the way to it.
bool is_page_fault_of_dump(const Error& error) {
  return error.code() == ErrorCode::kBadData || error.os_errno() == EIO ||
         error.os_errno() == EFAULT || error.os_errno() == EHWPOISON;
}

std::span<std::byte> row(std::span<std::byte> out, std::size_t index, std::size_t rows = 1) {
  return out.subspan(index * kFrameSize, rows * kFrameSize);
}

}  // namespace

Result<std::unique_ptr<ElfVmcoreSource>> ElfVmcoreSource::open(std::unique_ptr<ByteFile> file) {
  auto layout = read_elf_headers(*file);
  if (!layout) return fail(std::move(layout), file->name());
  const bool ends_early = std::any_of(
      layout->segments.begin(), layout->segments.end(), [&](const LoadSegment& segment) {
        return !fits(segment.file_offset, segment.file_bytes, file->size());
      });
  if (file->is_truncated() || ends_early) layout->incomplete = true;
  std::unique_ptr<ElfVmcoreSource> source(new ElfVmcoreSource(std::move(file)));
  source->layout_ = std::move(*layout);
  source->index_segments();
  source->find_what_is_not_there();
  if (auto checked = source->check_claims(); !checked)
    return fail(std::move(checked), source->file_->name());
  return source;
}

void ElfVmcoreSource::add_fragment(GuestPhys begin, std::uint64_t bytes,
                                   std::uint64_t file_offset) {
  if (bytes == 0) return;
  fragments_.push_back({frame_of(begin), static_cast<std::uint32_t>(begin.value % kFrameSize),
                        static_cast<std::uint32_t>(bytes), file_offset});
}

void ElfVmcoreSource::index_segments() {
  std::vector<LoadSegment> sorted = layout_.segments;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const LoadSegment& a, const LoadSegment& b) { return a.phys < b.phys; });
  Gfn covered{0};
  for (const LoadSegment& segment : sorted) {
    const std::uint64_t begin = segment.phys.value;
    const std::uint64_t end = begin + segment.file_bytes;
    layout_.frames.insert({Gfn{begin >> kFrameShift},
                           Gfn{round_up(begin + segment.memory_bytes, kFrameSize) >> kFrameShift}});
    const std::uint64_t whole_begin = round_up(begin, kFrameSize);
    const std::uint64_t whole_end = round_down(end, kFrameSize);
    if (whole_begin > end) {  // inside one frame
      add_fragment(segment.phys, end - begin, segment.file_offset);
      continue;
    }
    add_fragment(segment.phys, whole_begin - begin, segment.file_offset);
    if (whole_end >= whole_begin)
      add_fragment(GuestPhys{whole_end}, end - whole_end,
                   segment.file_offset + (whole_end - begin));
    const Gfn first = std::max(Gfn{whole_begin >> kFrameShift}, covered);
    const Gfn last{whole_end >> kFrameShift};
    if (first >= last) continue;
    const std::uint64_t offset = segment.file_offset + (first.value << kFrameShift) - begin;
    pieces_.push_back({{first, last}, offset});
    covered = last;
  }
  std::stable_sort(fragments_.begin(), fragments_.end(),
                   [](const Fragment& a, const Fragment& b) { return a.gfn < b.gfn; });
}

void ElfVmcoreSource::find_what_is_not_there() {
  FrameSet claimed, in_part;
  for (const Piece& piece : pieces_) {
    claimed.insert(piece.range);
    const std::uint64_t room =
        piece.file_offset < file_->size() ? (file_->size() - piece.file_offset) >> kFrameShift : 0;
    if (room < piece.range.frames())
      layout_.lost.insert({Gfn{piece.range.begin.value + room}, piece.range.end});
  }
  for (const Fragment& fragment : fragments_)
    in_part.insert({fragment.gfn, Gfn{fragment.gfn.value + 1}});
  claimed.insert(in_part);
  layout_.absent = layout_.frames;
  layout_.absent.erase(claimed);
}

Result<> ElfVmcoreSource::check_claims() const {
  const std::uint64_t size = std::min(file_->content_bytes(), std::uint64_t{1} << kMaxPhysBits);
  const std::uint64_t memory = layout_.frames.bytes();
  if (memory > kMaxEmptyMemory && (memory - kMaxEmptyMemory) / kMaxMemoryPerByte > size)
    return fail(ErrorCode::kBadData, fmt::format("{} of memory in a file of {}: it is damaged",
                                                 format_size(memory), format_size(size)));
  // Each page of a machine is in its dump once.
  std::uint64_t contents = 0;
  for (const Piece& piece : pieces_) contents += piece.range.bytes();
  contents -= layout_.lost.bytes();
  if (contents / 2 > file_->size())
    return fail(ErrorCode::kBadData, fmt::format("segments of {} share the {} of the file",
                                                 format_size(contents), format_size(size)));
  return {};
}

const ElfVmcoreSource::Piece* ElfVmcoreSource::piece_at_or_after(Gfn gfn) const {
  const auto found =
      std::upper_bound(pieces_.begin(), pieces_.end(), gfn,
                       [](Gfn value, const Piece& piece) { return value < piece.range.end; });
  return found == pieces_.end() ? nullptr : &*found;
}

/// One read for the whole stretch; only when that fails, frame by frame to find out which.
Result<> ElfVmcoreSource::read_piece(const Piece& piece, Gfn first, std::span<std::byte> out,
                                     std::span<FrameStatus> status) const {
  const std::uint64_t offset =
      piece.file_offset + ((first.value - piece.range.begin.value) << kFrameShift);
  auto whole = file_->read_at(out, offset);
  if (whole) {
    std::fill(status.begin(), status.end(), FrameStatus::kRead);
    return {};
  }
  if (!is_page_fault_of_dump(whole.error())) return fail(std::move(whole));
  for (std::size_t i = 0; i < status.size(); ++i) {
    auto one = file_->read_at(row(out, i), offset + i * kFrameSize);
    if (!one && !is_page_fault_of_dump(one.error())) return fail(std::move(one));
    status[i] = one ? FrameStatus::kRead : FrameStatus::kFailed;
    if (!one) std::memset(row(out, i).data(), 0, kFrameSize);
  }
  return {};
}

FrameStatus ElfVmcoreSource::read_fragments(Gfn gfn, std::span<std::byte> out) const {
  std::memset(out.data(), 0, out.size());
  auto at = std::lower_bound(fragments_.begin(), fragments_.end(), gfn,
                             [](const Fragment& f, Gfn value) { return f.gfn < value; });
  FrameStatus status = FrameStatus::kAbsent;
  for (; at != fragments_.end() && at->gfn == gfn; ++at) {
    if (!file_->read_at(out.subspan(at->begin, at->bytes), at->file_offset)) {
      std::memset(out.data(), 0, out.size());
      return FrameStatus::kFailed;
    }
    status = FrameStatus::kRead;
  }
  return status;
}

Result<> ElfVmcoreSource::read(Gfn first, std::span<std::byte> out,
                               std::span<FrameStatus> status) const {
  std::size_t i = 0;
  while (i < status.size()) {
    const Gfn gfn{first.value + i};
    const Piece* piece = piece_at_or_after(gfn);
    if (piece == nullptr || piece->range.begin > gfn) {
      status[i] = read_fragments(gfn, row(out, i));
      ++i;
      continue;
    }
    const std::size_t rows = static_cast<std::size_t>(
        std::min<std::uint64_t>(status.size() - i, piece->range.end.value - gfn.value));
    if (auto r = read_piece(*piece, gfn, row(out, i, rows), status.subspan(i, rows)); !r)
      return fail(std::move(r));
    i += rows;
  }
  return {};
}

Result<FrameView> ElfVmcoreSource::map(FrameRange range) const {
  const Piece* piece = piece_at_or_after(range.begin);
  if (piece != nullptr && piece->range.begin <= range.begin) {
    const std::uint64_t offset =
        piece->file_offset + ((range.begin.value - piece->range.begin.value) << kFrameShift);
    const std::uint64_t room = offset < file_->size() ? (file_->size() - offset) >> kFrameShift : 0;
    const std::uint64_t frames =
        std::min({range.frames(), piece->range.end.value - range.begin.value,
                  kMaxViewBytes >> kFrameShift, room});
    if (frames > 0) {
      auto mapping = file_->map(offset, static_cast<std::size_t>(frames << kFrameShift));
      if (mapping)
        return FrameView({range.begin, Gfn{range.begin.value + frames}}, std::move(*mapping));
    }
  }
  return copy_view(*this, range);
}

}  // namespace hadump
