// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "core/dump/format.h"

namespace hadump {

/// The core of a PV domain as `xl dump-core` lays it out (core/vmcore/xen_core_layout.h): what
/// crash opens for such a guest. It takes page tables to hold machine frames, which .xen_p2m leads
/// back to the guest's. In our dumps they hold the guest's own; so the table says that each frame
/// is its own machine frame.
///
/// crash looks in the table by a frame's number as well: it has an entry for every frame from 0 on,
/// and each page its place. Where the dump has no page, the entry has no frame (kXenNoPfn).
/// Such pages and pages of zeros are not written. Incomplete: bit 0 of e_flags, as in ELF cores.
class XenCoreFormat : public DumpFormat {
 public:
  /// @param frames  for which the table has entries, from 0 on.
  XenCoreFormat(const VmcoreLayout& layout, std::uint64_t frames,
                std::vector<FormatOutput> outputs);

  Result<> begin() override;
  Result<> append(Chunk& chunk) override;
  Result<> checkpoint() override;
  Result<> rollback() override;
  Result<> finish(bool complete, unsigned dump_level) override;
  std::vector<FormatOutput>& outputs() override { return outputs_; }
  std::vector<std::uint64_t> sizes() const override { return {data_end_}; }
  std::uint64_t bytes_written() const override { return bytes_written_; }

  /// The table has 16 bytes for each frame up to the last page, holes included. A PV guest's frames
  /// have no larger holes than these (hv/domain/pv_guest.h).
  static constexpr std::uint64_t kMaxHoles = 4_GiB >> kFrameShift;

 private:
  std::uint64_t offset_of(Gfn gfn) const { return pages_ + address_of(gfn).value; }
  std::vector<std::byte> head(bool complete) const;
  Result<> put_table(std::uint64_t offset, std::span<const std::byte> bytes);
  Result<> write_entries(FrameRange range, bool present);
  Result<> append_run(Chunk& chunk, std::span<const PageOutcome> pages, Gfn first);
  Result<> put_zeros(FrameRange range);
  Result<> fill_to(std::uint64_t end);
  Result<> write_whole_table();

  std::vector<FormatOutput> outputs_;
  std::uint64_t frames_;  ///< entries of the table
  std::vector<std::byte> vcpus_;
  std::uint64_t table_ = 0;        ///< where .xen_p2m begins,
  std::uint64_t pages_ = 0;        ///< and .xen_pages
  FrameSet present_;               ///< for a sink that cannot rewrite: what the table is to say
  FrameSet pending_;               ///< in the file, but not in the table that is durable
  bool is_tabled_ = false;         ///< some of what is pending may be in the file's table
  Gfn attempted_end_;              ///< from here on nothing was ever written
  std::uint64_t data_end_ = 0;     ///< of the file, as far as it has pages
  std::uint64_t durable_end_ = 0;  ///< the same at the last checkpoint
  std::uint64_t bytes_written_ = 0;
};

}  // namespace hadump
