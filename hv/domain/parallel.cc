// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/domain/parallel.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace hadump {
namespace {

constexpr unsigned kMaxThreads = 8;  // copies saturate memory bandwidth well before this

std::vector<FrameRange> cut(const FrameSet& frames, std::uint64_t piece_frames) {
  std::vector<FrameRange> pieces;
  for (FrameRange range : frames.ranges()) {
    Gfn begin = range.begin;
    while (begin < range.end) {
      const Gfn end{
          std::min(round_down(begin.value, piece_frames) + piece_frames, range.end.value)};
      pieces.push_back({begin, end});
      begin = end;
    }
  }
  return pieces;
}

}  // namespace

Result<> parallel_for_pieces(const FrameSet& frames, std::uint64_t piece_frames,
                             const std::function<Result<>(FrameRange)>& work) {
  return parallel_for_each(cut(frames, piece_frames), work);
}

Result<> parallel_for_each(std::span<const FrameRange> pieces,
                           const std::function<Result<>(FrameRange)>& work) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::optional<Error> error;  // guarded by mutex
  const auto end_with = [&](Error&& why) {
    const std::lock_guard lock(mutex);
    if (!error) error = std::move(why);
    next = pieces.size();
  };
  // An exception that leaves a thread ends the process, so what tells of one is there before.
  Error no_memory = Error::os(ENOMEM, "working on the guest's memory");
  std::atomic<bool> is_told = false;
  const auto run = [&] {
    for (std::size_t i = next++; i < pieces.size(); i = next++) {
      try {
        if (auto done = work(pieces[i]); !done) end_with(std::move(done).error());
      } catch (...) {
        if (!is_told.exchange(true)) end_with(std::move(no_memory));
      }
    }
  };
  const std::size_t wanted = std::clamp(std::thread::hardware_concurrency(), 1U, kMaxThreads);
  {
    std::vector<std::jthread> threads;
    try {
      for (std::size_t i = 1; i < std::min(wanted, pieces.size()); ++i) threads.emplace_back(run);
    } catch (const std::exception&) {  // those that are there do the work
    }
    run();
  }
  if (error) return tl::unexpected(std::move(*error));
  return {};
}

}  // namespace hadump
