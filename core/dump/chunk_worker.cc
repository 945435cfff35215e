// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/dump/chunk_worker.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "core/dump/page_test.h"

namespace hadump {
namespace {

/// Of a stretch that does not shrink, every so many pages are tried all the same.
constexpr std::size_t kSamplingStep = 32;
/// So many are read at once when they are not kept: they and what becomes of them fit the second
/// level of a processor's cache.
constexpr std::size_t kReadFrames = 64;

std::size_t index_of(PageClass page_class) {
  return static_cast<std::size_t>(page_class);
}

}  // namespace

Result<std::unique_ptr<ChunkWorker>> ChunkWorker::create(const VmcoreSource& source,
                                                         const PageFilter* filter,
                                                         CodecChoice codec) {
  std::unique_ptr<ChunkWorker> worker(new ChunkWorker(source, filter));
  if (auto set = worker->set_codec(codec); !set) return fail(std::move(set));
  return worker;
}

Result<> ChunkWorker::set_codec(CodecChoice codec) {
  codec_ = codec;
  compressor_.reset();
  if (codec.codec == nullptr) return {};
  auto compressor = make_compressor(codec);
  if (!compressor) return fail(std::move(compressor));
  compressor_ = std::move(*compressor);
  return {};
}

void ChunkWorker::fill(Chunk& chunk, unsigned level) {
  chunk.cost = {};
  if (!measures_) return fill_pages(chunk, level);
  const auto begin = std::chrono::steady_clock::now();
  const auto cpu_begin = thread_cpu_time();
  fill_pages(chunk, level);
  chunk.cost.cpu = thread_cpu_time() - cpu_begin;
  chunk.cost.wall = std::chrono::steady_clock::now() - begin;
  chunk.cost.bytes = buffer_used_;
  if (probe_) chunk.cost.sample = probe_->end_chunk(chunk.cost.cpu);
}

void ChunkWorker::fill_pages(Chunk& chunk, unsigned level) {
  chunk.views.clear();
  chunk.counts = {};
  chunk.result = {};
  chunk.is_left_out = true;
  buffer_used_ = 0;
  suspicious_ = false;
  classify(chunk);
  for (const PageRun& run : runs_) {
    const auto first = static_cast<std::size_t>(run.frames.begin.value - chunk.frames.begin.value);
    if (is_left_out(run.page_class, level)) {
      for (std::size_t i = 0; i < run.frames.frames(); ++i)
        chunk.pages[first + i].fate = PageFate::kLeftOut;
      chunk.counts.frames_by_class[index_of(run.page_class)] += run.frames.frames();
      chunk.counts.frames_left_out += run.frames.frames();
      continue;
    }
    chunk.is_left_out = false;
    if (auto done = fill_run(chunk, run.frames, run.page_class); !done) {
      chunk.result = std::move(done);
      return;
    }
  }
  if ((level & kLevelZero) != 0)
    chunk.counts.frames_left_out += chunk.counts.frames_by_class[index_of(PageClass::kZero)];
}

void ChunkWorker::classify(Chunk& chunk) {
  runs_.clear();
  if (filter_ != nullptr && filter_->classify(chunk.frames, runs_)) return;
  if (filter_ != nullptr) chunk.counts.frames_unclassified += chunk.frames.frames();
  runs_.assign(1, PageRun{chunk.frames, PageClass::kKeep});
}

Result<> ChunkWorker::fill_run(Chunk& chunk, FrameRange run, PageClass page_class) {
  // Where mapping is refused after all, our own buffer is cheaper than a new one each time. A few
  // copies may be due to ranges that do not begin or end with a frame.
  constexpr unsigned kEnoughCopies = 8;
  // Between the holes of a scattered balloon: two calls for a mapping cost more than a short copy.
  constexpr std::uint64_t kMinMappedFrames = 16;
  return source_.prefers_mapping() && copies_in_a_row_ < kEnoughCopies &&
                 run.frames() >= kMinMappedFrames
             ? map_run(chunk, run, page_class)
             : read_run(chunk, run, page_class);
}

Result<> ChunkWorker::map_run(Chunk& chunk, FrameRange run, PageClass page_class) {
  while (!run.empty()) {
    auto view = source_.map(run);
    if (!view) return read_run(chunk, run, page_class);
    copies_in_a_row_ = view->is_mapped() ? 0 : copies_in_a_row_ + 1;
    store_pages(chunk, view->range(), view->bytes(), page_class);
    run.begin = view->range().end;
    if (!compressor_) chunk.views.push_back(std::move(*view));
  }
  return {};
}

Result<> ChunkWorker::read_run(Chunk& chunk, FrameRange run, PageClass page_class) {
  // Raw pages stay where they are until they are written; others are compressed while they are in
  // the nearest caches.
  const std::uint64_t step = compressor_ ? kReadFrames : run.frames();
  for (; !run.empty(); run.begin.value += std::min(step, run.frames()))
    if (auto done = read_some(
            chunk, {run.begin, Gfn{run.begin.value + std::min(step, run.frames())}}, page_class);
        !done)
      return done;
  return {};
}

Result<> ChunkWorker::read_some(Chunk& chunk, FrameRange run, PageClass page_class) {
  if (!input_) input_ = std::make_unique_for_overwrite<std::byte[]>(kReadFrames * kFrameSize);
  const auto first = static_cast<std::size_t>(run.begin.value - chunk.frames.begin.value);
  std::byte* const to = compressor_ ? input_.get() : chunk.buffer.get() + first * kFrameSize;
  const auto count = static_cast<std::size_t>(run.frames());
  status_.resize(count);
  const std::span<std::byte> bytes{to, count * kFrameSize};
  if (auto done = source_.read(run.begin, bytes, status_); !done) return done;
  for (std::size_t i = 0; i < count; ++i) {
    const Gfn gfn{run.begin.value + i};
    if (status_[i] == FrameStatus::kRead) {
      store_pages(chunk, {gfn, Gfn{gfn.value + 1}}, bytes.subspan(i * kFrameSize, kFrameSize),
                  page_class);
      continue;
    }
    const bool lost = status_[i] == FrameStatus::kFailed;
    chunk.pages[first + i].fate = lost ? PageFate::kLost : PageFate::kLeftOut;
    ++(lost ? chunk.counts.frames_missing : chunk.counts.frames_absent);
  }
  return {};
}

void ChunkWorker::store_pages(Chunk& chunk, FrameRange run, std::span<const std::byte> bytes,
                              PageClass page_class) {
  const auto first = static_cast<std::size_t>(run.begin.value - chunk.frames.begin.value);
  for (std::size_t i = 0; i < run.frames(); ++i) {
    const auto page = bytes.subspan(i * kFrameSize, kFrameSize);
    if (is_zero_page(page)) {
      chunk.pages[first + i] = {nullptr, 0, 0, PageFate::kZero};
      ++chunk.counts.frames_by_class[index_of(PageClass::kZero)];
      continue;
    }
    ++chunk.counts.frames_by_class[index_of(page_class)];
    store_page(chunk, first + i, page);
  }
  chunk.counts.bytes_read += bytes.size();
}

void ChunkWorker::store_page(Chunk& chunk, std::size_t index, std::span<const std::byte> page) {
  PageOutcome& outcome = chunk.pages[index];
  outcome = {page.data(), kFrameSize, 0, PageFate::kData};
  if (!compressor_) return;

  std::byte* const to = chunk.buffer.get() + buffer_used_;
  outcome.data = to;
  ++chunk.cost.pages;
  const bool skip = suspicious_ && index % kSamplingStep != 0 && looks_incompressible(page);
  if (!skip) {
    const std::size_t size = compressor_->compress(page, {to, kMaxCompressedPage});
    ++chunk.cost.compressed;
    if (probe_ && probe_->wants(index)) probe_->keep(page);
    suspicious_ = size >= kFrameSize;
    if (!suspicious_) {
      outcome.size = static_cast<std::uint32_t>(size);
      outcome.codec_flag = codec_.codec->flag;
      buffer_used_ += size;
      ++chunk.counts.frames_compressed;
      return;
    }
  }
  // Copied, so that the pages of a chunk lie together and are written at once.
  std::memcpy(to, page.data(), kFrameSize);
  buffer_used_ += kFrameSize;
}

}  // namespace hadump
