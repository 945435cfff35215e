// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace hadump {

/// Says that a piece of work stands still. Calls into the hypervisor, libxl and xenstored have no
/// deadline; an admin whose domain does not come back must find out where it hangs.
///
/// Threads: begin(), reached() and end() from one; the report comes from another.
class StallWatch {
 public:
  using Report = std::function<void(const std::string& line)>;

  explicit StallWatch(Report report);
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;
  ~StallWatch();

  /// @param what  the work, such as "domain 3 (web)".
  /// @param patience  there is a line when nothing was reached for so long, and another each time
  ///                  when that has been twice as long as the last time.
  void begin(const std::string& what, std::chrono::milliseconds patience);
  /// The step behind which the work is now. Starts the patience anew.
  void reached(const std::string& step);
  void end();

 private:
  struct Work {
    std::string what;
    std::chrono::milliseconds patience;
    std::string step{};  ///< the last that was reached; may be empty
    std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
    std::chrono::milliseconds told = patience;  ///< how long it is when there is a line
  };
  void watch(const std::stop_token& stop);

  Report report_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::optional<Work> work_;  ///< guarded by mutex_
  std::jthread thread_;       ///< last: it uses all of the above
};

/// Far more than a step of a crash run takes on a healthy host, and more than backends have by
/// default.
inline constexpr std::chrono::seconds kStallPatience{15};

/// One piece of work, to the end of a block.
class WatchedWork {
 public:
  WatchedWork(StallWatch& watch, const std::string& what,
              std::chrono::milliseconds patience = kStallPatience)
      : watch_(watch) {
    watch_.begin(what, patience);
  }
  WatchedWork(const WatchedWork&) = delete;
  WatchedWork& operator=(const WatchedWork&) = delete;
  ~WatchedWork() { watch_.end(); }

 private:
  StallWatch& watch_;
};

}  // namespace hadump
