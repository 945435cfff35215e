// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/stripes.h"

#include <algorithm>

#include "core/dump/portion_cursor.h"

namespace hadump {
namespace {

/// Bytes of the file that a page costs even when it holds nothing: its descriptor.
constexpr double kDescBytes = 24;

struct Sample {
  Gfn begin;
  double bytes = 0;  ///< That the frames from here to the next sample are likely to take.
};

double stored_bytes(const Chunk& chunk) {
  double bytes = 0;
  for (const PageOutcome& page : chunk.outcomes()) {
    if (page.fate == PageFate::kLeftOut) continue;
    bytes += kDescBytes + (page.fate == PageFate::kData ? static_cast<double>(page.size) : 0);
  }
  return bytes;
}

/// One chunk from the middle of each of `count` equal parts.
std::vector<Sample> sample(const FrameSet& frames, std::size_t count, ChunkWorker& worker,
                           unsigned level) {
  const std::uint64_t step =
      round_up(std::max<std::uint64_t>(frames.frames() / count, kChunkFrames), kChunkFrames);
  std::vector<Sample> samples;
  Chunk chunk;
  for (FrameRange range : frames.ranges()) {
    for (Gfn at = range.begin; at < range.end;) {
      const Gfn end{std::min(round_down(at.value + step, kChunkFrames), range.end.value)};
      const std::uint64_t middle = round_down(at.value + (end.value - at.value) / 2, kChunkFrames);
      chunk.frames.begin = std::max(at, Gfn{middle});
      chunk.frames.end = std::min(Gfn{middle + kChunkFrames}, end);
      worker.fill(chunk, level);
      // A chunk that cannot be read says nothing about its neighbours: any guess is good enough.
      const double per_frame =
          chunk.result ? stored_bytes(chunk) / static_cast<double>(chunk.frames.frames()) : 1;
      samples.push_back({at, per_frame * static_cast<double>(end.value - at.value)});
      at = end;
    }
  }
  return samples;
}

}  // namespace

Result<std::vector<FrameRange>> plan_stripes(const FrameSet& frames, const FrameSet& written,
                                             std::size_t count, ChunkWorker& worker,
                                             unsigned level) {
  const Gfn begin{round_down(frames.ranges().front().begin.value, kChunkFrames)};
  const Gfn end{round_up(frames.ranges().back().end.value, kChunkFrames)};
  if (count == 1) return std::vector<FrameRange>{{begin, end}};
  if (written.frames() < count * kChunkFrames)
    return fail(ErrorCode::kUnsupported, "too little memory for so many files");

  const std::vector<Sample> samples =
      sample(written, std::max(kSampledChunks, 8 * count), worker, level);
  double total = 0;
  for (const Sample& one : samples) total += one.bytes;
  std::vector<FrameRange> stripes;
  Gfn from = begin;
  double so_far = 0;
  for (const Sample& one : samples) {
    const double due = total * static_cast<double>(stripes.size() + 1) / static_cast<double>(count);
    const Gfn border{round_down(one.begin.value, kChunkFrames)};
    if (stripes.size() + 1 < count && so_far >= due && border > from) {
      stripes.push_back({from, border});
      from = border;
    }
    so_far += one.bytes;
  }
  stripes.push_back({from, end});
  if (stripes.size() != count)
    return fail(ErrorCode::kUnsupported, "the memory to dump is too small for so many files");
  return stripes;
}

}  // namespace hadump
