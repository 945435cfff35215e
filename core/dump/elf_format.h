// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "core/dump/elf_table.h"
#include "core/dump/format.h"

namespace hadump {

/// ELF core: PT_NOTE, then PT_LOADs.
///
/// Left-out pages read as zeros. A run of kLongRun of them has a PT_LOAD of its own with p_filesz 0
/// (makedumpfile -E ends a PT_LOAD at the same places); a shorter one, and pages of zeros, are
/// holes in the file. Unreadable pages must not look like zeros: any run of them is without
/// contents, too. The table of program headers has room for kMaxLoads; beyond that, such runs are
/// holes. What is not saved yet has p_filesz 0. Incomplete: bit 0 of e_flags.
class ElfFormat : public DumpFormat {
 public:
  ElfFormat(FormatInput input, std::vector<FormatOutput> outputs);

  Result<> begin() override;
  Result<> append(Chunk& chunk) override;
  Result<> reserve() override;
  Result<> checkpoint() override;
  Result<> rollback() override;
  Result<> finish(bool complete, unsigned dump_level) override;
  std::vector<FormatOutput>& outputs() override { return outputs_; }
  std::vector<std::uint64_t> sizes() const override { return {now_.data_end}; }
  std::uint64_t bytes_written() const override { return bytes_written_; }

  static constexpr std::uint64_t kLongRun = 256;  ///< makedumpfile's PFN_EXCLUDED
  static constexpr std::size_t kMaxLoads =
      30000;  ///< Two headers each: below 65535, which would need PN_XNUM.
  /// With all headers, below 65535 too.
  static constexpr std::size_t kMaxRanges = 32700;

 private:
  struct Position {
    std::uint64_t data_end = 0;
    Gfn cursor;
    ElfLoad open;               ///< The PT_LOAD that is being added to; not in loads_ yet.
    std::size_t closed;         ///< Valid part of loads_.
    bool gap_has_lost = false;  ///< Of the frames after what `open` has in the file.
  };

  std::vector<std::byte> headers(bool complete) const;
  Result<> write_headers(bool complete);
  Result<> fill_to_end();
  void start_load(Gfn first);
  void pass_over(Gfn next);
  Result<> end_gap(Chunk& chunk);
  Result<> append_run(Chunk& chunk, std::span<const PageOutcome> pages, bool in_file);
  Result<> leave_hole(Chunk& chunk, std::uint64_t frames);
  bool is_in_file(const PageOutcome& page) const;
  void close_load();
  std::vector<ElfLoad> all_loads() const;

  FormatInput input_;
  std::vector<FormatOutput> outputs_;
  NoteBytes notes_;
  ElfTable table_;
  std::vector<ElfLoad> loads_;
  std::size_t capacity_ = 0;  ///< Program headers that there is room for.
  std::uint64_t data_begin_ = 0;
  Position now_{};
  Position durable_{};
  std::uint64_t high_water_ = 0;     ///< End of what was ever written, rolled back or not.
  std::uint64_t attempted_end_ = 0;  ///< Likewise, failed writes included.
  std::size_t table_bytes_ = 0;      ///< The longest table so far, or room for it.
  bool is_tabled_ = false;           ///< Something pending may be in the file's headers.
  std::uint64_t bytes_written_ = 0;
};

}  // namespace hadump
