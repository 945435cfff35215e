// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/elf_format.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace hadump {
namespace {

constexpr std::size_t kExtraHeaders = ElfTable::kExtraHeaders;
/// A dump with more runs of unreadable frames than this has a bad disk, not a bad page.
constexpr std::size_t kLostRuns = 256;

}  // namespace

ElfFormat::ElfFormat(FormatInput input, std::vector<FormatOutput> outputs)
    : input_(std::move(input)),
      outputs_(std::move(outputs)),
      notes_(encode_notes(input_.layout->notes)),
      table_(*input_.layout, input_.identity) {
  // A split needs kLongRun frames left out or some lost, so there are seldom more than this.
  const std::size_t ranges = input_.frames.ranges().size();
  const std::size_t splits =
      static_cast<std::size_t>(input_.frames.frames() / (kLongRun + 1)) + 2 * ranges + kLostRuns;
  // One range is written while the rest of it is still to come: one more.
  capacity_ = 2 * std::max(std::min(splits, kMaxLoads), ranges + 1) + kExtraHeaders;
  const std::uint64_t notes_offset = sizeof(Elf64_Ehdr) + capacity_ * sizeof(Elf64_Phdr);
  data_begin_ = round_up(notes_offset + notes_.bytes.size(), kFrameSize);
  now_.data_end = data_begin_;
  now_.cursor = input_.frames.ranges().front().begin;
  now_.open = {now_.cursor, 0, 0, data_begin_};
  durable_ = now_;
}

Result<> ElfFormat::begin() {
  DumpSink& sink = *outputs_.front().sink;
  if (!notes_.bytes.empty())
    if (auto put =
            sink.write_table(sizeof(Elf64_Ehdr) + capacity_ * sizeof(Elf64_Phdr), notes_.bytes);
        !put)
      return put;
  bytes_written_ += notes_.bytes.size();
  return sink.can_rewrite() ? write_headers(false) : Result<>();
}

/// Zero pages that the level leaves out are nothing else than left-out ones: both read as zeros.
bool ElfFormat::is_in_file(const PageOutcome& page) const {
  if (page.fate == PageFate::kZero) return (input_.dump_level & kLevelZero) == 0;
  return page.fate == PageFate::kData;
}

Result<> ElfFormat::append(Chunk& chunk) {
  if (chunk.frames.begin != now_.cursor) pass_over(chunk.frames.begin);
  const auto pages = chunk.outcomes();
  for (std::size_t i = 0; i < pages.size();) {
    const bool in_file = is_in_file(pages[i]);
    std::size_t end = i;
    while (end < pages.size() && is_in_file(pages[end]) == in_file) ++end;
    if (auto done = append_run(chunk, pages.subspan(i, end - i), in_file); !done) return done;
    i = end;
  }
  now_.cursor = chunk.frames.end;
  return {};
}

void ElfFormat::start_load(Gfn first) {
  close_load();
  now_.open = {first, 0, 0, now_.data_end};
  now_.gap_has_lost = false;
  now_.cursor = first;
}

/// What the dump is to hold but nothing is known of is memory without contents.
void ElfFormat::pass_over(Gfn next) {
  const FrameSet passed = input_.frames.intersection(FrameRange{now_.cursor, next});
  for (FrameRange range : passed.ranges()) {
    if (range.begin != now_.cursor) start_load(range.begin);
    now_.open.memory_frames += range.frames();
    now_.gap_has_lost = now_.gap_has_lost || !input_.absent.contains(range);
    now_.cursor = range.end;
  }
  if (now_.cursor != next) start_load(next);
}

/// Between what is in the file and what is to come after it.
Result<> ElfFormat::end_gap(Chunk& chunk) {
  ElfLoad& open = now_.open;
  const std::uint64_t gap = open.memory_frames - open.file_frames;
  const bool has_lost = std::exchange(now_.gap_has_lost, false);
  const bool is_empty = gap >= kLongRun || has_lost;
  const std::size_t still_to_come = 2 * input_.frames.ranges().size();
  if (is_empty && 2 * (now_.closed + still_to_come) + kExtraHeaders < capacity_) {
    const Gfn next{open.first.value + open.memory_frames};
    close_load();
    open = {next, 0, 0, now_.data_end};
  } else if (gap > 0) {
    if (auto done = leave_hole(chunk, gap); !done) return done;
    open.file_frames += gap;
  }
  return {};
}

Result<> ElfFormat::append_run(Chunk& chunk, std::span<const PageOutcome> pages, bool in_file) {
  ElfLoad& open = now_.open;
  if (!in_file) {
    open.memory_frames += pages.size();
    for (const PageOutcome& page : pages)
      now_.gap_has_lost = now_.gap_has_lost || page.fate == PageFate::kLost;
    return {};
  }
  if (auto done = end_gap(chunk); !done) return done;
  for (std::size_t i = 0; i < pages.size();) {
    std::size_t end = i;
    while (end < pages.size() &&
           (pages[end].fate == PageFate::kData) == (pages[i].fate == PageFate::kData))
      ++end;
    const auto run = pages.subspan(i, end - i);
    if (run.front().fate != PageFate::kData) {
      if (auto done = leave_hole(chunk, run.size()); !done) return done;
    } else {
      attempted_end_ = std::max(attempted_end_, now_.data_end + (run.size() << kFrameShift));
      auto written = put_pages(*outputs_.front().sink, chunk, run, now_.data_end);
      if (!written) return fail(std::move(written));
      bytes_written_ += *written;
      now_.data_end += run.size() << kFrameShift;
      high_water_ = std::max(high_water_, now_.data_end);
    }
    i = end;
  }
  open.memory_frames += pages.size();
  open.file_frames += pages.size();
  return {};
}

/// Nothing is written where nothing ever was; where a failed attempt may have left bytes, zeros.
Result<> ElfFormat::leave_hole(Chunk& chunk, std::uint64_t frames) {
  static constexpr std::array<std::byte, kFrameSize> kZeros{};
  if (now_.data_end < attempted_end_) fill_room(chunk);
  for (; frames > 0 && now_.data_end < attempted_end_; --frames) {
    if (auto put = outputs_.front().sink->write_data(now_.data_end, kZeros); !put) return put;
    now_.data_end += kFrameSize;
  }
  now_.data_end += frames << kFrameShift;
  return {};
}

void ElfFormat::close_load() {
  if (now_.open.memory_frames == 0) return;
  loads_.resize(now_.closed);
  loads_.push_back(now_.open);
  ++now_.closed;
}

/// Everything that was appended, and what is still to come as memory without contents.
///
/// Memory without contents gets headers of its own, though p_memsz > p_filesz would say the same in
/// fewer: makedumpfile takes p_memsz for the size in the file when it maps a page-aligned segment
/// (elf_info.c, offset_to_pt_load_end), and crashes. Their p_offset is where no contents are.
std::vector<ElfLoad> ElfFormat::all_loads() const {
  std::vector<ElfLoad> all;
  const auto add = [&](const ElfLoad& load) {
    if (load.file_frames > 0)
      all.push_back({load.first, load.file_frames, load.file_frames, load.file_offset});
    const std::uint64_t empty = load.memory_frames - load.file_frames;
    if (empty > 0)
      all.push_back({Gfn{load.first.value + load.file_frames}, empty, 0, now_.data_end});
  };
  for (std::size_t i = 0; i < now_.closed; ++i) add(loads_[i]);
  add(now_.open);
  const FrameSet rest = input_.frames.intersection(
      FrameRange{now_.cursor, std::max(now_.cursor, input_.frames.ranges().back().end)});
  for (FrameRange range : rest.ranges()) add({range.begin, range.frames(), 0, now_.data_end});
  return all;
}

std::vector<std::byte> ElfFormat::headers(bool complete) const {
  return table_.headers(all_loads(), sizeof(Elf64_Ehdr) + capacity_ * sizeof(Elf64_Phdr),
                        notes_.bytes.size(), complete);
}

/// A longer table than any before needs blocks that were a hole.
Result<> ElfFormat::reserve() {
  DumpSink& sink = *outputs_.front().sink;
  const std::size_t size = headers(false).size();
  if (!sink.can_rewrite() || size <= table_bytes_) return {};
  const std::vector<std::byte> zeros(size - table_bytes_);
  if (auto put = sink.write_table(table_bytes_, zeros); !put) return put;
  table_bytes_ = size;
  return {};
}

Result<> ElfFormat::write_headers(bool complete) {
  std::vector<std::byte> bytes = headers(complete);
  // Nothing is left behind of a longer table: equal dumps are equal files.
  bytes.resize(table_bytes_ = std::max(table_bytes_, bytes.size()));
  bytes_written_ += bytes.size();
  return outputs_.front().sink->write_table(0, bytes);
}

/// A hole at the end of the file is just its end, and the frames in it look cut off.
Result<> ElfFormat::fill_to_end() {
  if (high_water_ >= now_.data_end || now_.data_end == data_begin_) return {};
  static constexpr std::array<std::byte, kFrameSize> kZeros{};
  auto put = outputs_.front().sink->write_data(now_.data_end - kFrameSize, kZeros);
  if (!put) return put;
  high_water_ = now_.data_end;
  bytes_written_ += kZeros.size();
  return {};
}

Result<> ElfFormat::checkpoint() {
  DumpSink& sink = *outputs_.front().sink;
  if (!sink.can_rewrite()) {
    durable_ = now_;
    return sink.make_durable();
  }
  if (auto done = fill_to_end(); !done) return done;
  if (auto done = reserve(); !done) return done;
  if (auto done = sink.make_durable(); !done) return done;
  is_tabled_ = true;
  if (auto done = write_headers(false); !done) return done;
  if (auto done = sink.make_durable(); !done) return done;
  durable_ = now_;
  is_tabled_ = false;
  return {};
}

Result<> ElfFormat::rollback() {
  DumpSink& sink = *outputs_.front().sink;
  if (!sink.can_rewrite()) return fail(ErrorCode::kUnsupported, "a pipe cannot be rewritten");
  if (auto back = sink.write_data(durable_.data_end, {}); !back) return back;
  now_ = durable_;
  high_water_ = std::min(high_water_, now_.data_end);
  if (!is_tabled_) return {};
  // Before anything else is written where these headers say that there are pages.
  if (auto done = write_headers(false); !done) return done;
  if (auto done = sink.make_durable(); !done) return done;
  is_tabled_ = false;
  return {};
}

Result<> ElfFormat::finish(bool complete, unsigned /*dump_level*/) {
  // A hole at the very end of a flattened dump would be missing from what is put together of it.
  static constexpr std::array<std::byte, kFrameSize> kZeros{};
  DumpSink& sink = *outputs_.front().sink;
  if (!sink.can_rewrite() && now_.data_end > high_water_ && now_.data_end > data_begin_)
    if (auto put = sink.write_data(now_.data_end - kFrameSize, kZeros); !put) return put;
  if (auto done = write_headers(complete); !done) return done;
  return outputs_.front().sink->publish(now_.data_end);
}

Result<std::unique_ptr<DumpFormat>> make_elf_format(FormatInput input,
                                                    std::vector<FormatOutput> outputs) {
  if (input.frames.ranges().size() > ElfFormat::kMaxRanges)
    return fail(ErrorCode::kUnsupported,
                fmt::format("the memory is in {} pieces, and an ELF core has room for {}: use the "
                            "format kdump",
                            input.frames.ranges().size(), ElfFormat::kMaxRanges));
  return std::make_unique<ElfFormat>(std::move(input), std::move(outputs));
}

}  // namespace hadump
