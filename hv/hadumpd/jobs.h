// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "core/base/error.h"

namespace hadump {

using JobNumber = std::uint64_t;

/// What became of a job, for whoever asks by its number.
struct JobState {
  std::string what;  ///< "domain 3 (web): crash run"
  bool over = false;
  std::optional<Error> error;  ///< when it is over and has failed
};

/// Slow work for one domain beside the event loop. A job runs on a thread of its own and shares
/// nothing with the loop but what it is given and what it returns; the rest of it, which may change
/// the loop's state, runs on the loop's thread when collect() is called.
///
/// Implementations: ThreadJobs (hv/hadumpd), ManualJobs (tests/fakes).
/// Threads: all functions are the loop's.
class Jobs {
 public:
  virtual ~Jobs() = default;

  /// Begins a job for a domain. An exception of `work` is an error of the job and of nothing else.
  /// @param work  on the job's thread.
  /// @param done  on the loop's thread, from collect(). May begin jobs.
  /// @return the job's number; kBusy when the domain has a job, kOs when there is no thread for it.
  template <typename T>
  Result<JobNumber> start(unsigned domid, const std::string& what, std::function<Result<T>()> work,
                          std::function<void(Result<T>)> done) {
    return start_work(domid, what, [work = std::move(work), done = std::move(done)] {
      Result<T> result = guarded(work);
      std::optional<Error> error;
      if (!result) error = result.error();
      return Outcome{std::move(error),
                     [done, result = std::move(result)]() mutable { done(std::move(result)); }};
    });
  }

  /// Whether the domain has a job, one included that is over and has not been collected.
  virtual bool busy(unsigned domid) const = 0;
  /// The newest job of a domain or the one of this number; nothing for one that is long over.
  virtual std::optional<JobState> state(JobNumber number) const = 0;
  /// Ends the jobs whose work is over. Returns at once.
  virtual void collect() = 0;

 protected:
  struct Outcome {
    std::optional<Error> error;
    std::function<void()> then;
  };
  virtual Result<JobNumber> start_work(unsigned domid, std::string what,
                                       std::function<Outcome()> work) = 0;

 private:
  template <typename T>
  static Result<T> guarded(const std::function<Result<T>()>& work) try {
    return work();
  } catch (const std::bad_alloc&) {
    return fail_os(ENOMEM, "working on the domain");
  } catch (const std::exception& e) {
    return fail(ErrorCode::kOs, e.what());
  }
};

}  // namespace hadump
