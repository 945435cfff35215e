// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <vector>

#include "core/dump/format.h"
#include "core/dump/kdump_bitmap.h"
#include "core/vmcore/kdump_layout.h"

namespace hadump {

/// kdump-compressed, in one file or split.
///
/// Frames that the source does not have are left out from the start: they have no place in the
/// table, and their bits are not set.
///
/// How many pages will be dumped is known only at the end, yet the descriptors come before the
/// data. So the table has room for every frame of the file's range; what is not used of it is never
/// written (a hole). The second bitmap starts with every frame set, and is narrowed as portions are
/// classified: a frame whose bit is set and whose descriptor is a hole is lost, in the format's
/// own way, which is just what an unsaved frame is.
///
/// Order within a checkpoint, so that a power cut at any point leaves no wrong content: page data
/// and narrowed bits, and the descriptors' places so that they have room; durable; descriptors;
/// durable. A rollback afterwards takes the descriptors out again first, and durably, because their
/// data is going to be overwritten.
class KdumpFormat : public DumpFormat {
 public:
  KdumpFormat(FormatInput input, std::vector<FormatOutput> outputs);

  Result<> begin() override;
  Result<> append(Chunk& chunk) override;
  Result<> reserve() override;
  Result<> checkpoint() override;
  Result<> rollback() override;
  Result<> finish(bool complete, unsigned dump_level) override;
  std::vector<FormatOutput>& outputs() override { return outputs_; }
  std::vector<std::uint64_t> sizes() const override;
  std::uint64_t bytes_written() const override { return bytes_written_; }

 private:
  /// Where the next page of a file goes.
  struct Position {
    std::uint64_t data_end = 0;
    std::uint64_t rank = 0;  ///< Of the next descriptor in the file's table.
    Gfn cursor;              ///< The first frame that was not appended yet.
  };
  /// Consecutive descriptors.
  struct DescRun {
    std::uint64_t first_rank = 0;
    std::vector<KdumpPageDesc> descs;
  };
  struct Stripe {
    Position now;
    Position durable;
    PendingBits bits;
    std::vector<DescRun> descs;
    std::vector<KdumpPageDesc> spare_descs;  ///< Empty: memory for the next run.
    std::uint64_t data_begin = 0;
    std::uint64_t bitmap_written_to = 0;  ///< Only for a sink that cannot rewrite.
    bool has_room = false;                ///< The pending descriptors' places are allocated.
    bool is_tabled = false;               ///< Something pending may be in the file's tables.
  };

  Result<> begin_stripe(std::size_t index);
  Result<> write_header(std::size_t index, bool complete, unsigned dump_level);
  Result<> check_stream() const;
  Result<> write_bitmap(DumpSink& sink, std::uint64_t offset, const FrameSet& frames);
  Result<> write_pending_bits();
  Result<> write_bits_once(Stripe& stripe, DumpSink& sink);
  Result<> write_bits_between(Stripe& stripe, DumpSink& sink, std::uint64_t end);
  Result<> write_pending_descs();
  Result<> clear_pending_descs(std::size_t index);
  Result<> widen_pending_bits(const Stripe& stripe);
  void commit();
  Result<> sync_all();
  Result<> put_table(DumpSink& sink, std::uint64_t offset, std::span<const std::byte> bytes);
  std::size_t stripe_of(Gfn gfn) const;
  void go_to(Stripe& stripe, FrameRange frames);
  static void add_descs(Stripe& stripe, const Chunk& chunk);
  static void add_bits(Stripe& stripe, const Chunk& chunk);

  FormatInput input_;
  FrameSet tabled_;  ///< What has a place in the tables of descriptors.
  std::vector<FormatOutput> outputs_;
  std::vector<Stripe> stripes_;
  NoteBytes notes_;
  std::uint64_t max_mapnr_ = 0;
  std::uint64_t bitmap_bytes_ = 0;  ///< Of one bitmap, whole blocks.
  std::uint64_t bitmap1_offset_ = 0;
  std::uint64_t bitmap2_offset_ = 0;
  std::uint64_t descs_offset_ = 0;
  std::uint64_t bytes_written_ = 0;
};

}  // namespace hadump
