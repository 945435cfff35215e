#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/dump/chunk.h"

namespace hadump {

/// Work items through N workers and out again in the order they went in, with a bounded number of
/// them under way. Nobody spins: who has nothing to do sleeps on a condition variable.
///
/// Threads: run() from one thread, which also does the producing and the consuming.
class Pipeline {
 public:
  /// Runs on worker `worker` (0 to workers - 1), concurrently with other workers.
  using Work = std::function<void(Chunk& chunk, unsigned worker)>;
  /// Sets up the next chunk; false when there is none.
  using Produce = std::function<bool(Chunk& chunk)>;
  /// Takes a finished chunk. An error ends the run.
  using Consume = std::function<Result<>(Chunk& chunk)>;

  Pipeline(unsigned workers, Work work);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// @return the first error of `consume`. No worker touches a chunk any more when this returns.
  Result<> run(const Produce& produce, const Consume& consume);

 private:
  struct Slot {
    Chunk chunk;
    bool done = false;
  };

  void work_until_stopped(unsigned worker);
  Slot& slot(std::uint64_t number) { return *slots_[number % slots_.size()]; }
  void wait_until_done(std::uint64_t number);

  Work work_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::mutex mutex_;  // protects everything below, and Slot::done
  std::condition_variable work_ready_;
  std::condition_variable chunk_done_;
  std::uint64_t produced_ = 0;  // chunks numbered [taken_, produced_) wait for a worker
  std::uint64_t taken_ = 0;
  std::uint64_t awaited_ = 0;  // the chunk that run() sleeps for, plus one; 0 when it does not
  unsigned idle_workers_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace hadump
