// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hadump {

/// Says that a piece of work stands still. Calls into the hypervisor, libxl and xenstored have no
/// deadline; an admin whose domain does not come back must find out where it hangs.
///
/// Threads: any; the report comes from a thread of its own.
class StallWatch {
 public:
  using Report = std::function<void(const std::string& line)>;
  using Key = std::uint64_t;

  explicit StallWatch(Report report);
  StallWatch(const StallWatch&) = delete;
  StallWatch& operator=(const StallWatch&) = delete;
  ~StallWatch();

  /// @param what  the work, such as "domain 3 (web)".
  /// @param patience  there is a line when nothing was reached for so long, and another each time
  ///                  when that has been twice as long as the last time.
  Key begin(const std::string& what, std::chrono::milliseconds patience);
  /// The last step that the work has completed. Starts the patience anew.
  void reached(Key key, const std::string& step);
  void end(Key key);

 private:
  struct Work {
    std::string what;
    std::chrono::milliseconds patience;
    std::string step{};  ///< the last that was reached; may be empty
    std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
    std::chrono::milliseconds told = patience;  ///< how long it is when there is a line

    std::chrono::steady_clock::time_point due() const { return since + told; }
  };
  void watch(const std::stop_token& stop);
  void look(std::unique_lock<std::mutex>& lock, const std::stop_token& stop);
  std::vector<std::string> lines_due();

  Report report_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  Key last_ = 0;  ///< guarded by mutex_, as are the next two
  std::map<Key, Work> works_;
  bool changed_ = false;  ///< since the thread has looked
  std::jthread thread_;   ///< last: it uses all of the above
};

/// Far more than a step of a crash run takes on a healthy host, and more than backends have by
/// default.
inline constexpr std::chrono::seconds kStallPatience{15};

/// One piece of work, to the end of a block.
class WatchedWork {
 public:
  WatchedWork(StallWatch& watch, const std::string& what,
              std::chrono::milliseconds patience = kStallPatience)
      : watch_(watch), key_(watch.begin(what, patience)) {}
  WatchedWork(const WatchedWork&) = delete;
  WatchedWork& operator=(const WatchedWork&) = delete;
  ~WatchedWork() { watch_.end(key_); }

  void reached(const std::string& step) { watch_.reached(key_, step); }

 private:
  StallWatch& watch_;
  StallWatch::Key key_;
};

}  // namespace hadump
