// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>

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
  void finish(JobNumber number, std::optional<Outcome> outcome);

  const Wakeup& wakeup_;
  JobNumber last_ = 0;
  std::map<unsigned, JobNumber> domains_;  ///< those that have a job
  std::map<JobNumber, JobState> states_;   ///< of running jobs and of the newest others
  std::mutex mutex_;
  /// Guarded by mutex_. Without an outcome, when there was no memory to make one.
  std::deque<std::pair<JobNumber, std::optional<Outcome>>> over_;
  std::map<JobNumber, Running> running_;  ///< last: its threads use all of the above
};

}  // namespace hadump
