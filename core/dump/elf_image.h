// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/dump/elf_table.h"
#include "core/vmcore/source.h"

namespace hadump {

/// A dump of any format as one ELF core file that is nowhere: made as it is read.
///
/// Runs of ElfFormat::kLongRun frames that the dump does not have, and more, are without contents;
/// shorter ones read as zeros. What is lost is an error to whoever reads it.
///
/// Threads: all functions may be called from several threads at once.
class ElfImage {
 public:
  /// @param source  borrowed. @return kUnsupported when its memory is in more pieces than an ELF
  ///                core has room for; the errors of VmcoreSource::present_in().
  static Result<ElfImage> make(const VmcoreSource& source);

  std::uint64_t bytes() const { return bytes_; }

  /// Copies what is at `offset`. @return how many bytes: less than out.size() at the end only.
  /// kBadData when a frame of it is lost; the errors of VmcoreSource::read().
  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  explicit ElfImage(const VmcoreSource& source) : source_(&source) {}

  Result<> add_memory();
  void add_run(FrameRange run);
  void write_headers();
  Result<> read_frames(std::uint64_t offset, std::span<std::byte> out) const;

  const VmcoreSource* source_;
  std::vector<ElfLoad> loads_;   ///< With contents, ascending in both frames and offsets.
  std::vector<ElfLoad> empty_;   ///< Without.
  std::vector<std::byte> head_;  ///< All before the first frame.
  std::uint64_t bytes_ = 0;
};

}  // namespace hadump
