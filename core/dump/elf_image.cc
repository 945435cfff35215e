// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/elf_image.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/dump/elf_format.h"
#include "core/vmcore/elf_notes.h"
#include "core/vmcore/kernel_identity.h"

namespace hadump {
namespace {

// The tables of so much are looked at in one go.
constexpr std::uint64_t kLookedAtFrames = 1_GiB >> kFrameShift;

}  // namespace

Result<ElfImage> ElfImage::make(const VmcoreSource& source) {
  ElfImage image(source);
  if (auto done = image.add_memory(); !done) return fail(std::move(done));
  image.write_headers();
  return image;
}

Result<> ElfImage::add_memory() {
  const VmcoreLayout& layout = source_->layout();
  if (layout.frames.ranges().size() > ElfFormat::kMaxRanges)
    return fail(ErrorCode::kUnsupported,
                fmt::format("the memory is in {} pieces, and an ELF core has room for {}",
                            layout.frames.ranges().size(), ElfFormat::kMaxRanges));
  FrameSet known = layout.frames;
  known.erase(layout.absent);
  for (FrameRange range : known.ranges())
    for (Gfn at = range.begin; at < range.end;) {
      const FrameRange piece{at, Gfn{std::min(at.value + kLookedAtFrames, range.end.value)}};
      auto present = source_->present_in(piece);
      if (!present) return fail(std::move(present));
      for (FrameRange run : present->ranges()) add_run(run);
      at = piece.end;
    }
  FrameSet written, rest = layout.frames;
  for (const ElfLoad& load : loads_)
    written.insert({load.first, Gfn{load.first.value + load.file_frames}});
  rest.erase(written);
  for (FrameRange range : rest.ranges()) empty_.push_back({range.begin, range.frames(), 0, 0});
  return {};
}

// What is missing between two runs of one piece of memory reads as zeros, where it is short or
// there is no room for another header.
void ElfImage::add_run(FrameRange run) {
  if (!loads_.empty()) {
    ElfLoad& last = loads_.back();
    const Gfn end{last.first.value + last.file_frames};
    const std::uint64_t gap = run.begin.value - end.value;
    const bool is_short = gap < ElfFormat::kLongRun || loads_.size() >= ElfFormat::kMaxLoads;
    if (gap == 0 || (is_short && source_->layout().frames.contains({end, run.begin}))) {
      last.file_frames = last.memory_frames = run.end.value - last.first.value;
      return;
    }
  }
  loads_.push_back({run.begin, run.frames(), run.frames(), 0});
}

void ElfImage::write_headers() {
  const NoteBytes notes = encode_notes(source_->layout().notes);
  const std::size_t headers = loads_.size() + empty_.size() + 1 + ElfTable::kExtraHeaders;
  const std::uint64_t notes_offset = sizeof(Elf64_Ehdr) + headers * sizeof(Elf64_Phdr);
  bytes_ = round_up(notes_offset + notes.bytes.size(), kFrameSize);
  head_.resize(bytes_);
  std::copy(notes.bytes.begin(), notes.bytes.end(),
            head_.begin() + static_cast<std::ptrdiff_t>(notes_offset));
  for (ElfLoad& load : loads_) {
    load.file_offset = bytes_;
    bytes_ += load.file_frames << kFrameShift;
  }
  std::vector<ElfLoad> all = loads_;
  for (ElfLoad load : empty_) {
    load.file_offset = bytes_;
    all.push_back(load);
  }
  std::sort(all.begin(), all.end(),
            [](const ElfLoad& a, const ElfLoad& b) { return a.first < b.first; });
  const ElfTable table(source_->layout(), identify_kernel(*source_));
  const auto bytes = table.headers(std::move(all), notes_offset, notes.bytes.size(),
                                   !source_->layout().incomplete);
  std::memcpy(head_.data(), bytes.data(), bytes.size());
}

Result<std::size_t> ElfImage::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset >= bytes_ || out.empty()) return std::size_t{0};
  out = out.first(std::min<std::uint64_t>(out.size(), bytes_ - offset));
  std::size_t done = 0;
  if (offset < head_.size()) {
    done = std::min<std::uint64_t>(out.size(), head_.size() - offset);
    std::memcpy(out.data(), head_.data() + offset, done);
  }
  while (done < out.size()) {
    const std::uint64_t at = offset + done;
    const auto behind = std::upper_bound(
        loads_.begin(), loads_.end(), at,
        [](std::uint64_t value, const ElfLoad& load) { return value < load.file_offset; });
    const ElfLoad& load = *std::prev(behind);
    const std::uint64_t inside = at - load.file_offset;
    const std::uint64_t left = (load.file_frames << kFrameShift) - inside;
    const auto piece = out.subspan(done, std::min<std::uint64_t>(out.size() - done, left));
    if (auto copied = read_frames(address_of(load.first).value + inside, piece); !copied)
      return fail(std::move(copied));
    done += piece.size();
  }
  return done;
}

/// @param offset  guest-physical.
Result<> ElfImage::read_frames(std::uint64_t offset, std::span<std::byte> out) const {
  const Gfn first{offset >> kFrameShift};
  const std::uint64_t skipped = offset % kFrameSize;
  const std::uint64_t frames = round_up(skipped + out.size(), kFrameSize) >> kFrameShift;
  std::vector<FrameStatus> status(frames);
  // Whole frames go where they are wanted.
  const bool is_whole = skipped == 0 && out.size() == frames << kFrameShift;
  std::vector<std::byte> aside(is_whole ? 0 : frames << kFrameShift);
  if (auto done = source_->read(first, is_whole ? out : std::span(aside), status); !done)
    return done;
  if (std::find(status.begin(), status.end(), FrameStatus::kFailed) != status.end())
    return fail(ErrorCode::kBadData, fmt::format("a frame is lost between {:#x} and {:#x}", offset,
                                                 offset + out.size()));
  if (!is_whole) std::memcpy(out.data(), aside.data() + skipped, out.size());
  return {};
}

}  // namespace hadump
