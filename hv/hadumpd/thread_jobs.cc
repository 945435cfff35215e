// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/hadumpd/thread_jobs.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <memory>
#include <new>
#include <system_error>

namespace hadump {
namespace {

constexpr std::size_t kRemembered = 256;

}  // namespace

// On the job's thread. Nothing is allocated: an exception here would end the process.
void ThreadJobs::finish(std::list<Finished>& slot) noexcept {
  {
    const std::lock_guard lock(mutex_);
    over_.splice(over_.end(), slot);
  }
  wakeup_.notify();
}

Result<JobNumber> ThreadJobs::start_work(unsigned domid, std::string what,
                                         std::function<Outcome()> work) try {
  if (const auto found = domains_.find(domid); found != domains_.end())
    return fail(ErrorCode::kBusy, fmt::format("hadumpd is already working on it: {} (job {})",
                                              states_[found->second].what, found->second));
  const JobNumber number = ++last_;
  const auto slot = std::make_shared<std::list<Finished>>();
  slot->emplace_back(number, std::nullopt);
  // Before the thread is there: what fails now has no job to take back.
  Running& running = running_[number];
  domains_[domid] = number;
  states_[number] = {std::move(what), false, {}};
  running.domid = domid;
  running.thread = std::jthread([this, slot, work = std::move(work)] {
    try {
      slot->front().second = work();
    } catch (...) {  // only bad_alloc can come so far, and there is nothing left to tell it with
    }
    finish(*slot);
  });
  return number;
} catch (const std::bad_alloc&) {
  take_back(domid);
  return fail_os(ENOMEM, "starting a thread");
} catch (const std::system_error& e) {
  take_back(domid);
  return fail_os(e.code().value(), "starting a thread");
}

// The job that start_work() was about to begin.
void ThreadJobs::take_back(unsigned domid) {
  running_.erase(last_);
  states_.erase(last_);
  if (const auto found = domains_.find(domid); found != domains_.end() && found->second == last_)
    domains_.erase(found);
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
    try {
      outcome->then();
    } catch (const std::exception& e) {  // the others' ends must not be lost with it
      state.error = Error(ErrorCode::kOs, fmt::format("ending the job: {}", e.what()));
      spdlog::error("{}: {}", state.what, state.error->what());
    }
  }
  // Numbers grow, so the first are the oldest.
  for (auto it = states_.begin(); states_.size() > kRemembered + running_.size();)
    it = it->second.over ? states_.erase(it) : std::next(it);
}

}  // namespace hadump
