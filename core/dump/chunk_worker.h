// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/dump/chunk.h"
#include "core/dump/codec_probe.h"
#include "core/vmcore/page_filter.h"

namespace hadump {

/// One worker's tools: reads the frames of a chunk, tells their class and compresses them.
///
/// What it makes of a chunk depends on nothing but the chunk, so that a dump's bytes do not depend
/// on how many workers there are.
class ChunkWorker {
 public:
  /// @param source,filter  borrowed; filter may be null.
  /// @param codec          not an automatic choice.
  static Result<std::unique_ptr<ChunkWorker>> create(const VmcoreSource& source,
                                                     const PageFilter* filter, CodecChoice codec);

  /// Fills everything in `chunk` but `frames`, which says what to do. Errors are in chunk.result.
  void fill(Chunk& chunk, unsigned level);

  /// Takes another codec from the next chunk on.
  Result<> set_codec(CodecChoice codec);
  CodecChoice codec() const { return codec_; }

  /// From now on, chunks say what they cost.
  /// @param probe  tries other codecs on some of the pages; may be null.
  void measure_costs(std::unique_ptr<CodecProbe> probe) {
    measures_ = true;
    probe_ = std::move(probe);
  }

 private:
  ChunkWorker(const VmcoreSource& source, const PageFilter* filter)
      : source_(source), filter_(filter) {}

  void fill_pages(Chunk& chunk, unsigned level);
  void classify(Chunk& chunk);
  Result<> fill_run(Chunk& chunk, FrameRange run, PageClass page_class);
  Result<> map_run(Chunk& chunk, FrameRange run, PageClass page_class);
  Result<> read_run(Chunk& chunk, FrameRange run, PageClass page_class);
  Result<> read_some(Chunk& chunk, FrameRange run, PageClass page_class);
  void store_pages(Chunk& chunk, FrameRange run, std::span<const std::byte> bytes,
                   PageClass page_class);
  void store_page(Chunk& chunk, std::size_t index, std::span<const std::byte> page);

  const VmcoreSource& source_;
  const PageFilter* filter_;
  CodecChoice codec_;
  std::unique_ptr<PageCompressor> compressor_;  ///< Null when pages are stored raw.
  std::vector<PageRun> runs_;
  std::vector<FrameStatus> status_;
  std::unique_ptr<std::byte[]> input_;  ///< For read(); allocated when it is first needed.
  unsigned copies_in_a_row_ = 0;
  std::size_t buffer_used_ = 0;
  /// The last page did not shrink: pages that look random are stored raw without trying.
  bool suspicious_ = false;
  bool measures_ = false;
  std::unique_ptr<CodecProbe> probe_;
};

}  // namespace hadump
