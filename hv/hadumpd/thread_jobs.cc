// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/thread_jobs.h"

#include <fmt/format.h>

#include <system_error>

namespace hadump {
namespace {

constexpr std::size_t kRemembered = 256;

}  // namespace

// On the job's thread.
void ThreadJobs::finish(JobNumber number, std::optional<Outcome> outcome) {
  {
    const std::lock_guard lock(mutex_);
    over_.emplace_back(number, std::move(outcome));
  }
  wakeup_.notify();
}

Result<JobNumber> ThreadJobs::start_work(unsigned domid, std::string what,
                                         std::function<Outcome()> work) try {
  if (const auto found = domains_.find(domid); found != domains_.end())
    return fail(ErrorCode::kBusy, fmt::format("hadumpd is already working on it: {} (job {})",
                                              states_[found->second].what, found->second));
  const JobNumber number = ++last_;
  std::jthread thread([this, number, work = std::move(work)] {
    std::optional<Outcome> outcome;
    try {
      outcome = work();
    } catch (...) {  // only bad_alloc can come so far, and there is nothing left to tell it with
    }
    finish(number, std::move(outcome));
  });
  running_[number] = {domid, std::move(thread)};
  domains_[domid] = number;
  states_[number] = {std::move(what), false, {}};
  return number;
} catch (const std::system_error& e) {
  return fail_os(e.code().value(), "starting a thread");
}

std::optional<JobState> ThreadJobs::state(JobNumber number) const {
  const auto found = states_.find(number);
  if (found == states_.end()) return {};
  return found->second;
}

void ThreadJobs::collect() {
  decltype(over_) over;
  {
    const std::lock_guard lock(mutex_);
    over.swap(over_);
  }
  for (auto& [number, outcome] : over) {
    const auto running = running_.find(number);
    domains_.erase(running->second.domid);
    running_.erase(running);  // joins a thread that is about to end
    JobState& state = states_[number];
    state.over = true;
    if (!outcome) {
      state.error = Error::os(ENOMEM, "ending the job");
      continue;
    }
    state.error = std::move(outcome->error);
    outcome->then();
  }
  // Numbers grow, so the first are the oldest.
  for (auto it = states_.begin(); states_.size() > kRemembered + running_.size();)
    it = it->second.over ? states_.erase(it) : std::next(it);
}

}  // namespace hadump
