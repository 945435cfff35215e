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
                                         std::function<Outcome()> work) {
  const JobNumber number = last_ + 1;
  try {
    if (const auto found = domains_.find(domid); found != domains_.end())
      return fail(ErrorCode::kBusy, fmt::format("hadumpd is already working on it: {} (job {})",
                                                states_[found->second].what, found->second));
    last_ = number;
    const auto slot = std::make_shared<std::list<Finished>>();
    slot->push_back({number, std::nullopt, Error::os(ENOMEM, "ending the job")});
    // Before the thread is there: what fails now has no job to take back.
    Running& running = running_[number];
    domains_[domid] = number;
    states_[number] = {std::move(what), false, {}};
    running.domid = domid;
    running.thread = std::jthread([this, slot, work = std::move(work)] {
      try {
        slot->front().outcome = work();
      } catch (...) {  // nothing may be left to tell it with
      }
      finish(*slot);
    });
    return number;
  } catch (const std::system_error& e) {
    take_back(domid, number);
    return fail_os(e.code().value(), "starting a thread");
  } catch (const std::bad_alloc&) {
    take_back(domid, number);
    return fail_os(ENOMEM, "starting a thread");
  }
}

// What start_work() was about to begin; others' jobs are not touched.
void ThreadJobs::take_back(unsigned domid, JobNumber number) {
  running_.erase(number);
  states_.erase(number);
  if (const auto found = domains_.find(domid); found != domains_.end() && found->second == number)
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
  for (Finished& finished : over) end(finished);
  // Numbers grow, so the first are the oldest.
  for (auto it = states_.begin(); states_.size() > kRemembered + running_.size();)
    it = it->second.over ? states_.erase(it) : std::next(it);
}

// The others' ends must not be lost with one that fails: a domain would be busy for ever. So
// nothing is allocated outside the try blocks.
void ThreadJobs::end(Finished& finished) noexcept {
  const auto running = running_.find(finished.number);
  domains_.erase(running->second.domid);
  running_.erase(running);  // joins a thread that is about to end
  JobState& state = states_.find(finished.number)->second;
  state.over = true;
  if (!finished.outcome) {
    state.error = std::move(finished.no_memory);
    return;
  }
  state.error = std::move(finished.outcome->error);
  try {
    finished.outcome->then();
  } catch (const std::exception& e) {
    tell(state, e.what(), finished);
  } catch (...) {
    tell(state, "unknown", finished);
  }
}

void ThreadJobs::tell(JobState& state, const char* exception, Finished& finished) noexcept try {
  state.error = Error(ErrorCode::kOs, fmt::format("ending the job: {}", exception));
  spdlog::error("{}: {}", state.what, state.error->what());
} catch (...) {
  state.error = std::move(finished.no_memory);
}

}  // namespace hadump
