// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/units.h"
#include "core/codec/codec.h"
#include "core/dump/chunk_cost.h"
#include "core/dump/progress.h"
#include "core/dump/sink.h"
#include "core/vmcore/source.h"

namespace hadump {

/// Frames of one work item: enough to hide the cost of handing it over, small enough for a
/// core's second-level cache, and for two of them per worker in the memory that is promised.
inline constexpr std::size_t kChunkFrames = 128;

/// What becomes of one page in the file.
enum class PageFate : std::uint8_t {
  kLeftOut,  ///< By the level, or because the source does not have it.
  kLost,     ///< Should be there but could not be read.
  kZero,     ///< All bytes zero.
  kData,
};

struct PageOutcome {
  const std::byte* data = nullptr;  ///< kData: borrowed from the chunk's buffer or views.
  std::uint32_t size = 0;           ///< kData: kFrameSize when stored raw.
  std::uint32_t codec_flag = 0;     ///< kData: of the codec's row; 0 when stored raw.
  PageFate fate = PageFate::kLeftOut;
};

/// Where some of a chunk's data goes.
struct ChunkRoom {
  DumpSink* sink = nullptr;
  DataRoom room;
  std::span<const PageOutcome> pages;  ///< Whose data it is; of the same chunk.
};

/// One work item on its way through the pipeline: filled by a worker, written by the caller's
/// thread, used again. Its memory is allocated once. Where a sink offers room, writing it is two
/// steps: the caller's thread finds its place, a worker copies its data there.
struct Chunk {
  FrameRange frames;  ///< At most kChunkFrames.
  std::array<PageOutcome, kChunkFrames> pages;
  /// Not one page was even read: the level leaves all of them out. Most chunks of a large machine
  /// are such, so they are worth a short cut. False says nothing.
  bool is_left_out = false;
  std::unique_ptr<std::byte[]> buffer = std::make_unique_for_overwrite<std::byte[]>(kBufferBytes);
  std::vector<FrameView> views;
  /// For what was not written at once. Not several: a sink waits until a buffer is filled, and
  /// would wait for ever for one that is to be filled when the chunk has its last room.
  std::optional<ChunkRoom> room;
  DumpProgress counts;  ///< Only the counters that a worker knows.
  ChunkCost cost;       ///< All but its rung.
  Result<> result;

  static constexpr std::size_t kBufferBytes = kChunkFrames * kFrameSize + kMaxCompressedPage;

  std::span<const PageOutcome> outcomes() const {
    return {pages.data(), static_cast<std::size_t>(frames.frames())};
  }
};

}  // namespace hadump
