// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "hv/hadumpd/jobs.h"
#include "hv/hadumpd/wakeup.h"

namespace hadump {

/// Jobs on threads. There is no limit to how many run at once: a limit would make one domain wait
/// for another's job, which may hang.
class ThreadJobs : public Jobs {
 public:
  /// @param wakeup  borrowed; notified when the work of a job is over.
  explicit ThreadJobs(const Wakeup& wakeup) : wakeup_(wakeup) {}
  /// Waits for every job. What they return is dropped.
  ~ThreadJobs() override = default;

  bool busy(unsigned domid) const override { return domains_.contains(domid); }
  std::optional<JobState> state(JobNumber number) const override;
  void collect() override;

 protected:
  Result<JobNumber> start_work(unsigned domid, std::string what,
                               std::function<Outcome()> work) override;

 private:
  struct Running {
    unsigned domid = 0;
    std::jthread thread;
  };
  struct Finished {
    JobNumber number = 0;
    std::optional<Outcome> outcome;  ///< none, when there was no memory to make one
    Error no_memory;                 ///< to say so without any
  };
  void finish(std::list<Finished>& slot) noexcept;
  void end(Finished& finished) noexcept;
  static void tell(JobState& state, const char* exception, Finished& finished) noexcept;
  void take_back(unsigned domid, JobNumber number);

  const Wakeup& wakeup_;
  JobNumber last_ = 0;
  std::map<unsigned, JobNumber> domains_;  ///< those that have a job
  std::map<JobNumber, JobState> states_;   ///< of running jobs and of the newest others
  std::mutex mutex_;
  std::list<Finished> over_;              ///< guarded by mutex_
  std::map<JobNumber, Running> running_;  ///< last: its threads use all of the above
};

}  // namespace hadump
