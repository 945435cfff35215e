// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hv/hadumpd/jobs.h"

namespace hadump {

/// Jobs that stand still until they are told to go on, one step at a time.
class ManualJobs : public Jobs {
 public:
  /// What the jobs that wait are about, oldest first.
  std::vector<std::string> waiting() const {
    std::vector<std::string> all;
    for (const auto& [number, job] : jobs_)
      if (!job.outcome) all.push_back(states_.at(number).what);
    return all;
  }
  /// Does the work of one domain's job. collect() ends it.
  void work(unsigned domid) {
    for (auto& [number, job] : jobs_)
      if (job.domid == domid && !job.outcome) job.outcome = job.work();
  }
  /// Does the work of every job there is, and of those that come of them.
  void finish() {
    while (!jobs_.empty()) {
      for (auto& [number, job] : jobs_)
        if (!job.outcome) job.outcome = job.work();
      collect();
    }
  }
  /// No thread can be started for the next job.
  void refuse_next() { refuse_ = true; }

  bool busy(unsigned domid) const override {
    for (const auto& [number, job] : jobs_)
      if (job.domid == domid) return true;
    return false;
  }
  std::optional<JobState> state(JobNumber number) const override {
    const auto found = states_.find(number);
    if (found == states_.end()) return {};
    return found->second;
  }
  void collect() override {
    std::vector<Outcome> over;
    for (auto it = jobs_.begin(); it != jobs_.end();) {
      if (!it->second.outcome) {
        ++it;
        continue;
      }
      states_[it->first].over = true;
      states_[it->first].error = it->second.outcome->error;
      over.push_back(std::move(*it->second.outcome));
      it = jobs_.erase(it);
    }
    for (Outcome& outcome : over) outcome.then();
  }

 protected:
  Result<JobNumber> start_work(unsigned domid, std::string what,
                               std::function<Outcome()> work) override {
    if (std::exchange(refuse_, false)) return fail_os(EAGAIN, "starting a thread");
    if (busy(domid)) return fail(ErrorCode::kBusy, "hadumpd is at work on it");
    jobs_[++last_] = {domid, std::move(work), {}};
    states_[last_] = {std::move(what), false, {}};
    return last_;
  }

 private:
  struct Job {
    unsigned domid = 0;
    std::function<Outcome()> work;
    std::optional<Outcome> outcome;
  };
  JobNumber last_ = 0;
  bool refuse_ = false;
  std::map<JobNumber, Job> jobs_;
  std::map<JobNumber, JobState> states_;
};

}  // namespace hadump
