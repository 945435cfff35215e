// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/kdump_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/text.h"
#include "core/dump/kdump_header.h"

namespace hadump {
namespace {

/// Tables that are written at once while nothing is being read: more than this is made durable in
/// between, so that it does not fill the page cache.
constexpr std::uint64_t kTableSyncBytes = 16U << 20;

}  // namespace

KdumpFormat::KdumpFormat(FormatInput input, std::vector<FormatOutput> outputs)
    : input_(std::move(input)),
      tabled_(input_.frames),
      outputs_(std::move(outputs)),
      notes_(encode_notes(input_.layout->notes)) {
  tabled_.erase(input_.absent);
  max_mapnr_ = input_.frames.ranges().back().end.value;
  bitmap_bytes_ = kdump_bitmap_bytes(max_mapnr_);
  bitmap1_offset_ = kdump_headers_bytes(notes_);
  bitmap2_offset_ = bitmap1_offset_ + bitmap_bytes_;
  descs_offset_ = bitmap2_offset_ + bitmap_bytes_;
  for (const FormatOutput& output : outputs_) {
    const std::uint64_t most = tabled_.intersection(output.range).frames();
    const std::uint64_t data = round_up(descs_offset_ + most * sizeof(KdumpPageDesc), kKdumpBlock);
    // The first block of the data is the page of zeros that all zero pages share.
    const Position start{data + kFrameSize, 0, output.range.begin};
    stripes_.push_back({start, start, PendingBits(tabled_), {}, {}, data, 0, false, false});
  }
}

/// Where nothing can be left as a hole, a little memory far up costs all of the bitmaps below it.
Result<> KdumpFormat::check_stream() const {
  constexpr std::uint64_t kAlways = 256_MiB;
  const std::uint64_t bitmaps = 2 * bitmap_bytes_;
  const std::uint64_t pages = tabled_.bytes() - input_.lost.bytes();
  if (outputs_.front().sink->can_rewrite() || bitmaps <= kAlways || bitmaps / 4 <= pages) return {};
  return fail(ErrorCode::kUnsupported,
              fmt::format("the memory lies so far apart that a stream of its {} would have {} of "
                          "empty tables: write to a file",
                          format_size(pages), format_size(bitmaps)));
}

Result<> KdumpFormat::begin() {
  if (auto checked = check_stream(); !checked) return checked;
  for (std::size_t i = 0; i < outputs_.size(); ++i)
    if (auto done = begin_stripe(i); !done) return done;
  return {};
}

Result<> KdumpFormat::begin_stripe(std::size_t index) {
  DumpSink& sink = *outputs_[index].sink;
  // A file says "incomplete" until the end; what cannot be rewritten must hope for the best, and
  // says it at its end when things went wrong.
  if (auto done = write_header(index, !sink.can_rewrite(), input_.dump_level); !done) return done;
  if (auto done = write_bitmap(sink, bitmap1_offset_, input_.frames); !done) return done;
  if (sink.can_rewrite())
    if (auto done = write_bitmap(sink, bitmap2_offset_, tabled_); !done) return done;
  static constexpr std::array<std::byte, kFrameSize> kZeros{};
  bytes_written_ += kZeros.size();
  return sink.write_data(stripes_[index].data_begin, kZeros);
}

Result<> KdumpFormat::write_header(std::size_t index, bool complete, unsigned dump_level) {
  const KdumpPart part{max_mapnr_, outputs_.size() > 1, outputs_[index].range};
  return put_table(*outputs_[index].sink, 0,
                   encode_kdump_headers(input_, notes_, part, complete, dump_level));
}

Result<> KdumpFormat::write_bitmap(DumpSink& sink, std::uint64_t offset, const FrameSet& frames) {
  std::uint64_t unsynced = 0;
  // Nothing is ever set where there is no memory: a hole says the same, and a piece of memory far
  // above the rest does not cost what lies between.
  return for_each_bitmap_piece(
      frames, bitmap_bytes_, !sink.can_rewrite(),
      [&](std::uint64_t first_byte, std::span<const std::uint8_t> bits) -> Result<> {
        if (auto put = put_table(sink, offset + first_byte, std::as_bytes(bits)); !put) return put;
        unsynced += bits.size();
        if (unsynced < kTableSyncBytes || !sink.can_rewrite()) return {};
        unsynced = 0;
        return sink.make_durable();
      });
}

std::size_t KdumpFormat::stripe_of(Gfn gfn) const {
  std::size_t index = 0;
  while (!outputs_[index].range.contains(gfn)) ++index;
  return index;
}

Result<> KdumpFormat::append(Chunk& chunk) {
  const std::size_t index = stripe_of(chunk.frames.begin);
  Stripe& stripe = stripes_[index];
  DumpSink& sink = *outputs_[index].sink;
  const auto pages = chunk.outcomes();
  if (chunk.is_left_out) {
    go_to(stripe, chunk.frames);
    stripe.bits.set_range(chunk.frames.begin, pages.size(), false);
    return {};
  }

  auto written = put_pages(sink, chunk, pages, stripe.now.data_end);
  if (!written) return fail(std::move(written));
  bytes_written_ += *written;
  go_to(stripe, chunk.frames);
  add_descs(stripe, chunk);
  add_bits(stripe, chunk);
  return {};
}

/// Frames that were passed over keep their (empty) places.
void KdumpFormat::go_to(Stripe& stripe, FrameRange frames) {
  Position& now = stripe.now;
  if (frames.begin != now.cursor)
    now.rank += tabled_.intersection({now.cursor, frames.begin}).frames();
  now.cursor = frames.end;
}

void KdumpFormat::add_descs(Stripe& stripe, const Chunk& chunk) {
  Position& now = stripe.now;
  stripe.has_room = false;
  if (stripe.descs.empty() ||
      stripe.descs.back().first_rank + stripe.descs.back().descs.size() != now.rank)
    stripe.descs.push_back({now.rank, std::exchange(stripe.spare_descs, {})});
  // One thread does this for all workers, page by page: no vector in between.
  std::array<KdumpPageDesc, kChunkFrames> descs;
  auto* next = descs.begin();
  for (const PageOutcome& page : chunk.outcomes()) {
    if (page.fate == PageFate::kLeftOut) continue;
    if (page.fate == PageFate::kLost) *next = {};
    if (page.fate == PageFate::kZero) *next = {stripe.data_begin, kFrameSize, 0, 0};
    if (page.fate == PageFate::kData) {
      *next = {now.data_end, page.size, page.codec_flag, 0};
      now.data_end += page.size;
    }
    ++next;
  }
  std::vector<KdumpPageDesc>& all = stripe.descs.back().descs;
  all.insert(all.end(), descs.begin(), next);
  now.rank += static_cast<std::uint64_t>(next - descs.begin());
}

void KdumpFormat::add_bits(Stripe& stripe, const Chunk& chunk) {
  const auto is_left_out = [](const PageOutcome& page) { return page.fate == PageFate::kLeftOut; };
  const auto pages = chunk.outcomes();
  for (std::size_t i = 0; i < pages.size();) {
    std::size_t end = i + 1;
    while (end < pages.size() && is_left_out(pages[end]) == is_left_out(pages[i])) ++end;
    stripe.bits.set_range(Gfn{chunk.frames.begin.value + i}, end - i, !is_left_out(pages[i]));
    i = end;
  }
}

/// By zeros, which say what a hole says. The bitmaps are in the file from the start.
Result<> KdumpFormat::reserve() {
  for (std::size_t i = 0; i < stripes_.size(); ++i) {
    if (stripes_[i].has_room || !outputs_[i].sink->can_rewrite()) continue;
    if (auto done = clear_pending_descs(i); !done) return done;
    stripes_[i].has_room = true;
  }
  return {};
}

Result<> KdumpFormat::checkpoint() {
  if (!outputs_.front().sink->can_rewrite()) {
    if (auto done = write_pending_bits(); !done) return done;
    if (auto done = write_pending_descs(); !done) return done;
    commit();
    return sync_all();
  }
  if (auto done = reserve(); !done) return done;
  for (Stripe& stripe : stripes_) stripe.is_tabled = true;
  if (auto done = write_pending_bits(); !done) return done;
  if (auto done = sync_all(); !done) return done;
  if (auto done = write_pending_descs(); !done) return done;
  if (auto done = sync_all(); !done) return done;
  commit();
  return {};
}

void KdumpFormat::commit() {
  for (Stripe& stripe : stripes_) {
    stripe.bits.commit();
    if (!stripe.descs.empty()) stripe.spare_descs = std::move(stripe.descs.front().descs);
    stripe.spare_descs.clear();
    stripe.descs.clear();
    stripe.durable = stripe.now;
    stripe.is_tabled = false;
  }
}

Result<> KdumpFormat::sync_all() {
  for (FormatOutput& output : outputs_)
    if (auto done = output.sink->make_durable(); !done) return done;
  return {};
}

/// Every file of a split dump has the whole bitmap: makedumpfile --reassemble takes it from the
/// first.
Result<> KdumpFormat::write_pending_bits() {
  for (Stripe& stripe : stripes_) {
    for (FormatOutput& output : outputs_) {
      if (!output.sink->can_rewrite()) {
        if (auto done = write_bits_once(stripe, *output.sink); !done) return done;
        continue;
      }
      for (const PendingBits::Piece& piece : stripe.bits.pieces())
        if (auto put = put_table(*output.sink, bitmap2_offset_ + piece.first_byte,
                                 std::as_bytes(std::span(piece.bits)));
            !put)
          return put;
    }
  }
  return {};
}

/// For a sink that cannot rewrite: every byte once, in ascending order, those between the pieces
/// too. The last byte waits when it has frames that are still to come.
Result<> KdumpFormat::write_bits_once(Stripe& stripe, DumpSink& sink) {
  for (const PendingBits::Piece& piece : stripe.bits.pieces()) {
    if (auto done = write_bits_between(stripe, sink, piece.first_byte); !done) return done;
    std::size_t known = piece.bits.size();
    const FrameRange still{stripe.now.cursor,
                           std::max(stripe.now.cursor, Gfn{piece.end_byte() * 8})};
    if (&piece == &stripe.bits.pieces().back() && !still.empty() && tabled_.overlaps(still))
      --known;
    if (auto put = put_table(sink, bitmap2_offset_ + piece.first_byte,
                             std::as_bytes(std::span(piece.bits).first(known)));
        !put)
      return put;
    stripe.bitmap_written_to = piece.first_byte + known;
  }
  return {};
}

Result<> KdumpFormat::write_bits_between(Stripe& stripe, DumpSink& sink, std::uint64_t end) {
  constexpr std::uint64_t kStep = 1U << 20;
  std::vector<std::uint8_t> gap;
  for (std::uint64_t& at = stripe.bitmap_written_to; at < end; at += gap.size()) {
    gap.resize(static_cast<std::size_t>(std::min(kStep, end - at)));
    stripe.bits.fill(at, gap);
    if (auto put = put_table(sink, bitmap2_offset_ + at, std::as_bytes(std::span(gap))); !put)
      return put;
  }
  return {};
}

Result<> KdumpFormat::write_pending_descs() {
  for (std::size_t i = 0; i < stripes_.size(); ++i)
    for (const DescRun& run : stripes_[i].descs)
      if (auto put =
              put_table(*outputs_[i].sink, descs_offset_ + run.first_rank * sizeof(KdumpPageDesc),
                        std::as_bytes(std::span(run.descs)));
          !put)
        return put;
  return {};
}

Result<> KdumpFormat::clear_pending_descs(std::size_t index) {
  static constexpr std::array<std::byte, 16 * kFrameSize> kZeros{};
  for (const DescRun& run : stripes_[index].descs) {
    const std::uint64_t begin = descs_offset_ + run.first_rank * sizeof(KdumpPageDesc);
    const std::uint64_t bytes = run.descs.size() * sizeof(KdumpPageDesc);
    for (std::uint64_t done = 0; done < bytes; done += kZeros.size())
      if (auto put = outputs_[index].sink->write_table(
              begin + done,
              std::span(kZeros).first(std::min<std::uint64_t>(bytes - done, kZeros.size())));
          !put)
        return put;
  }
  return {};
}

/// Back to what says that these frames are not saved.
Result<> KdumpFormat::widen_pending_bits(const Stripe& stripe) {
  std::vector<std::uint8_t> bits;
  for (const PendingBits::Piece& piece : stripe.bits.pieces()) {
    bits.resize(piece.bits.size());
    stripe.bits.fill(piece.first_byte, bits);
    for (FormatOutput& output : outputs_)
      if (auto put = put_table(*output.sink, bitmap2_offset_ + piece.first_byte,
                               std::as_bytes(std::span(bits)));
          !put)
        return put;
  }
  return {};
}

Result<> KdumpFormat::rollback() {
  bool is_tabled = false;
  for (std::size_t i = 0; i < stripes_.size(); ++i) {
    if (!outputs_[i].sink->can_rewrite())
      return fail(ErrorCode::kUnsupported, "a pipe cannot be rewritten");
    is_tabled = is_tabled || stripes_[i].is_tabled;
    if (auto back = outputs_[i].sink->write_data(stripes_[i].durable.data_end, {}); !back)
      return back;
  }
  if (is_tabled) {
    for (std::size_t i = 0; i < stripes_.size(); ++i)
      if (auto done = clear_pending_descs(i); !done) return done;
    if (auto done = sync_all(); !done) return done;
    for (const Stripe& stripe : stripes_)
      if (auto done = widen_pending_bits(stripe); !done) return done;
  }
  for (Stripe& stripe : stripes_) {
    stripe.now = stripe.durable;
    stripe.bits.rollback();
    stripe.descs.clear();
    stripe.is_tabled = false;
  }
  return {};
}

Result<> KdumpFormat::finish(bool complete, unsigned dump_level) {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    DumpSink& sink = *outputs_[i].sink;
    if (!sink.can_rewrite())
      if (auto done = write_bits_between(stripes_[i], sink, bitmap_bytes_); !done) return done;
    if (sink.can_rewrite() || !complete || dump_level != input_.dump_level)
      if (auto done = write_header(i, complete, dump_level); !done) return done;
    if (auto done = sink.publish(stripes_[i].now.data_end); !done) return done;
  }
  return {};
}

std::vector<std::uint64_t> KdumpFormat::sizes() const {
  std::vector<std::uint64_t> sizes;
  for (const Stripe& stripe : stripes_) sizes.push_back(stripe.now.data_end);
  return sizes;
}

Result<> KdumpFormat::put_table(DumpSink& sink, std::uint64_t offset,
                                std::span<const std::byte> bytes) {
  bytes_written_ += bytes.size();
  return sink.write_table(offset, bytes);
}

Result<std::unique_ptr<DumpFormat>> make_kdump_format(FormatInput input,
                                                      std::vector<FormatOutput> outputs) {
  return std::make_unique<KdumpFormat>(std::move(input), std::move(outputs));
}

}  // namespace hadump
