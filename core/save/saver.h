// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/frame_set.h"
#include "core/dump/dump_writer.h"
#include "core/save/block_releaser.h"
#include "core/save/frame_ledger.h"
#include "core/save/journal.h"
#include "core/vmcore/frame_uses.h"

namespace hadump {

struct SaverOptions {
  std::uint64_t portion_bytes = 256_MiB;
  unsigned level = 0;  ///< That the writer is at now.
  /// Dump levels to fall back to, one after the other, when the target runs full.
  std::vector<unsigned> fallback_levels;
};

/// Saves a dump portion by portion and gives each portion back once it is safe:
/// write, make durable, note in the journal, release. Never another order.
///
/// A block with frames that are needed later goes with the portion that needs them last.
class Saver {
 public:
  /// @param writer        borrowed.
  /// @param record        borrowed; null where there is nothing to come back to (a pipe).
  /// @param releaser      borrowed; null to release nothing.
  /// @param ledger        borrowed: knows what the dump is to hold. All of a block must be durable
  ///                      before it may go.
  /// @param needed_later  page tables, struct pages and the like that the filter reads for the
  ///                      sake of frames which are not saved yet.
  Saver(DumpWriter& writer, DurableRecord* record, BlockReleaser* releaser, FrameLedger& ledger,
        FrameUses needed_later, SaverOptions options)
      : writer_(writer),
        record_(record),
        releaser_(releaser),
        ledger_(ledger),
        needed_later_(std::move(needed_later)),
        options_(std::move(options)) {}

  /// Releases what is safe already, then writes all portions. @return the writer's and the
  /// journal's errors; kCancelled. Whatever it returns, everything that was released is safe.
  Result<> save_portions();

 private:
  Result<> write_with_fallback(FrameSet& portion);
  Result<> make_durable_with_fallback(FrameSet& portion);
  Result<> fall_back(FrameSet& portion);
  Result<> note_durable(const FrameSet& frames);
  Result<> save_portion(const FrameSet& portion);
  void save_what_fits();
  void release_with(const FrameSet& portion);
  bool is_not_needed(FrameRange block);

  DumpWriter& writer_;
  DurableRecord* record_;
  BlockReleaser* releaser_;
  FrameLedger& ledger_;
  FrameUses needed_later_;
  /// Blocks that are saved but needed later, by the last frame that needs them: asking all of them
  /// after each portion would take hours on a machine of many terabytes.
  std::map<Gfn, FrameSet> waiting_;
  SaverOptions options_;  ///< `level` follows the writer's.
  std::size_t next_fallback_ = 0;
  /// False once the journal had no room: its end may be torn, and what is noted after that is lost.
  bool may_note_ = true;
};

}  // namespace hadump
