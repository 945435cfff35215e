// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/dump/chunk.h"

namespace hadump {

/// Work items through N workers and out again in the order they went in, with a bounded number of
/// them under way. What that has found a place in the file (Chunk::rooms) for, workers copy there,
/// before they begin anything else. Nobody spins: who has nothing to do sleeps on a condition
/// variable. After a chunk that is left out, which takes next to no time, both sides are woken for
/// several at once.
///
/// Threads: all functions from one thread, which also does the producing and the consuming.
class Pipeline {
 public:
  /// Runs on worker `worker` (0 to workers - 1), concurrently with other workers.
  using Work = std::function<void(Chunk& chunk, unsigned worker)>;
  /// The frames of the next chunk; empty when there is none.
  using Produce = std::function<FrameRange()>;
  /// Takes a finished chunk. What it leaves in chunk.room is filled by a worker before the run
  /// ends. An error ends the run.
  using Consume = std::function<Result<>(Chunk& chunk)>;

  /// With fewer workers where not all of the threads can be started.
  /// @return kOs when not one can.
  static Result<std::unique_ptr<Pipeline>> create(unsigned workers, Work work);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Runs all that `produce` gives through the workers. Where the places of what is consumed are
  /// not needed for that any more, `ahead` is asked for what a later run will probably want: the
  /// workers go on with it when this has returned, and a later run finds it done.
  ///
  /// @return the first error of `consume`. No worker touches a chunk any more after an error.
  Result<> run(const Produce& produce, const Produce& ahead, const Consume& consume);

  /// Forgets what was done ahead. When this returns, no worker touches a chunk any more.
  void discard_ahead();

 private:
  Pipeline(unsigned workers, Work work);

  struct Slot {
    FrameRange frames;
    std::unique_ptr<Chunk> chunk;  ///< From when a worker takes it until it was consumed.
    bool done = false;
  };

  Result<> start_threads(unsigned workers);
  void work_until_stopped(unsigned worker);
  Slot& slot(std::uint64_t number) { return slots_[number % slots_.size()]; }
  void start(FrameRange frames);
  void announce();
  void wait_for_several(std::uint64_t end);
  Result<> consume_next(const Consume& consume);
  Result<> consume_some(std::uint64_t end, const Consume& consume);
  void wait_until_done(std::uint64_t number);
  void wait_for_writes(std::size_t limit, std::unique_lock<std::mutex>& lock);
  void put_back(std::unique_ptr<Chunk> chunk);
  void pass_on(std::uint64_t number);

  Work work_;
  bool is_quick_ = false;       // the last chunk that was consumed had been left out
  std::uint64_t consumed_ = 0;  // chunks numbered [consumed_, produced_) are under way
  std::vector<Slot> slots_;     // those between taken_ and done belong to a worker
  std::mutex mutex_;            // protects everything below, and Slot::done
  /// As many as slots, and those that are being written. The one that was used last is used next,
  /// while it is in the caches; and what is never used never takes memory.
  std::vector<std::unique_ptr<Chunk>> free_chunks_;
  std::deque<std::unique_ptr<Chunk>> to_write_;  // those that have rooms
  std::size_t unwritten_ = 0;                    // of them, and of those that workers are at
  std::size_t awaited_writes_ = 0;               // the caller sleeps until fewer are unwritten
  std::condition_variable work_ready_;
  std::condition_variable chunk_done_;
  std::uint64_t produced_ = 0;  // chunks numbered [taken_, produced_) wait for a worker
  std::uint64_t taken_ = 0;
  std::uint64_t awaited_ = 0;  // the chunk that run() sleeps for, plus one; 0 when it does not
  bool wants_news_ = false;    // it also wakes for one of those before that is not a quick one
  bool has_news_ = false;      // there is such a one
  bool is_announced_ = true;   // idle workers were told of all that waits
  unsigned idle_workers_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace hadump
