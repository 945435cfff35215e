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

  /// @param report    called with one line when nothing was reached for `patience`, and again each
  ///                  time when it has been twice as long as the last time.
  StallWatch(std::chrono::milliseconds patience, Report report);
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;
  ~StallWatch();

  /// @param what  the work, such as "domain 3 (web)".
  void begin(const std::string& what);
  /// The step behind which the work is now. Starts the patience anew.
  void reached(const std::string& step);
  void end();

 private:
  struct Work {
    std::string what;
    std::string step;  ///< the last that was reached; may be empty
    std::chrono::steady_clock::time_point since;
    std::chrono::milliseconds patience;
  };
  void watch(const std::stop_token& stop);

  std::chrono::milliseconds patience_;
  Report report_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::optional<Work> work_;  ///< guarded by mutex_
  std::jthread thread_;       ///< last: it uses all of the above
};

/// One piece of work, to the end of a block.
class WatchedWork {
 public:
  WatchedWork(StallWatch& watch, const std::string& what) : watch_(watch) { watch_.begin(what); }
  WatchedWork(const WatchedWork&) = delete;
  WatchedWork& operator=(const WatchedWork&) = delete;
  ~WatchedWork() { watch_.end(); }

 private:
  StallWatch& watch_;
};

}  // namespace hadump
