// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <stop_token>
#include <thread>

#include "hv/hadumpd/late_writes.h"
#include "hv/hadumpd/stall_watch.h"

namespace hadump {

/// Late writes on one thread, in the order in which they were asked for.
class LateWriter : public LateWrites {
 public:
  /// @param stalls  borrowed; is told of a write that stands still.
  explicit LateWriter(StallWatch& stalls);
  /// Waits until everything is written.
  ~LateWriter() override = default;

  void soon(const std::string& key, std::function<void()> write) override;
  void settle() override;

 private:
  struct Write {
    std::string key;
    std::function<void()> write;
  };
  using Writes = std::list<Write>;

  void run(const std::stop_token& stop);
  bool carry_out(const Write& one) noexcept;

  StallWatch& stalls_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::condition_variable_any idle_;
  Writes waiting_;        ///< guarded by mutex_
  bool writing_ = false;  ///< likewise
  std::jthread thread_;   ///< last: it uses all of the above
};

}  // namespace hadump
