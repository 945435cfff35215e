// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/error.h"
#include "core/base/frame_set.h"
#include "core/dump/chunk.h"
#include "core/dump/sink.h"
#include "core/vmcore/elf_notes.h"
#include "core/vmcore/kernel_identity.h"
#include "core/vmcore/source.h"

namespace hadump {

/// What a format needs to know about the dump as a whole.
struct FormatInput {
  const VmcoreLayout* layout = nullptr;  ///< Borrowed: notes, VMCOREINFO, virtual addresses.
  FrameSet frames;                       ///< What the dump is to hold.
  FrameSet absent;                       ///< What of it the source does not have,
  FrameSet lost;                         ///< and has lost. Neither is appended.
  unsigned dump_level = 0;
  std::uint32_t codec_flags = 0;  ///< Of every codec that may occur.
  KernelIdentity identity;
};

/// Over so many files a dump may be striped.
inline constexpr std::size_t kMaxDumpFiles = 16;

/// One output file (several for a striped dump) and its range of frames.
struct FormatOutput {
  FrameRange range;
  std::unique_ptr<DumpSink> sink;
};

/// Lays out a dump in files. Keeps them readable at every moment.
///
/// Chunks come in ascending order within each output's range. Between two checkpoints they are
/// "pending": rollback() forgets them.
class DumpFormat {
 public:
  virtual ~DumpFormat() = default;

  /// Headers and empty tables.
  virtual Result<> begin() = 0;
  /// When this leaves chunk.room, that has to be filled (fill_room()) before anything but another
  /// append() is called; also when it fails.
  virtual Result<> append(Chunk& chunk) = 0;
  /// Takes the room that the tables will need for what is pending, so that it is missed now and not
  /// by checkpoint(). A sink that cannot rewrite needs none.
  virtual Result<> reserve() { return {}; }
  /// Makes what is pending durable and visible in the tables, in an order that leaves no moment at
  /// which the file says something wrong. kUnsupported when the sink promises nothing; the tables
  /// are written then all the same. After kNoSpace, rollback() is possible.
  virtual Result<> checkpoint() = 0;
  /// Also tells the sinks that they are to forget what they know of it. When this fails, the file
  /// may say something wrong if it is written to any more.
  /// @return kUnsupported when the sink cannot rewrite.
  virtual Result<> rollback() = 0;
  /// Final header and name; for a sink that cannot rewrite, what was not appended is recorded as
  /// lost. @pre nothing is pending.
  virtual Result<> finish(bool complete, unsigned dump_level) = 0;

  virtual std::vector<FormatOutput>& outputs() = 0;
  /// Size of each output up to now.
  virtual std::vector<std::uint64_t> sizes() const = 0;
  /// Bytes handed to the sinks, holes not counted.
  virtual std::uint64_t bytes_written() const = 0;
};

/// @pre outputs are in ascending order, cover input.frames, and border on multiples of
///      kChunkFrames.
Result<std::unique_ptr<DumpFormat>> make_kdump_format(FormatInput input,
                                                      std::vector<FormatOutput> outputs);
/// @pre one output.
Result<std::unique_ptr<DumpFormat>> make_elf_format(FormatInput input,
                                                    std::vector<FormatOutput> outputs);

/// @pre one output. @return kUnsupported when there are large holes in the memory.
Result<std::unique_ptr<DumpFormat>> make_xen_core_format(FormatInput input,
                                                         std::vector<FormatOutput> outputs);

/// Writes those of `pages`, which are part of `chunk`, that are kData, one after the other; or
/// takes room for them. The room that the chunk has already is filled first.
/// @param offset_of_first  where the first of them goes.
/// @return bytes written.
Result<std::uint64_t> put_pages(DumpSink& sink, Chunk& chunk, std::span<const PageOutcome> pages,
                                std::uint64_t offset_of_first);

/// Copies the chunk's data to where it goes. From any thread. Whoever writes to the sink in any
/// other way than by put_pages() does this before.
void fill_room(Chunk& chunk);

}  // namespace hadump
