// SPDX-License-Identifier: GPL-2.0-or-later
// Jobs on real threads, and the observer of the guests.
#include <gmock/gmock.h>
#include <poll.h>

#include <future>
#include <new>
#include <stdexcept>

#include "core/abi/hadump_abi.h"
#include "hv/hadumpd/guest_observer.h"
#include "hv/hadumpd/thread_jobs.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class JobsTest : public testing::Test {
 protected:
  void wait() const {
    pollfd fd{wakeup.fd(), POLLIN, 0};
    ASSERT_EQ(poll(&fd, 1, 60000), 1);
    wakeup.clear();
  }
  // Until the job of a domain is over.
  void collect(unsigned domid) {
    while (jobs.busy(domid)) {
      wait();
      jobs.collect();
    }
  }
  Wakeup wakeup = std::move(*Wakeup::create());
  ThreadJobs jobs{wakeup};
};

TEST_F(JobsTest, WorkIsDoneElsewhereAndItsEndIsTheLoops) {
  std::thread::id worker;
  std::thread::id end;
  int answer = 0;
  const auto number = jobs.start<int>(
      3, "counting",
      [&]() -> Result<int> {
        worker = std::this_thread::get_id();
        return 42;
      },
      [&](Result<int> result) {
        end = std::this_thread::get_id();
        answer = *result;
      });
  ASSERT_TRUE(number);
  EXPECT_EQ(jobs.state(*number)->what, "counting");
  wait();
  EXPECT_EQ(answer, 0) << "nothing is the loop's that it has not collected";
  EXPECT_TRUE(jobs.busy(3));
  jobs.collect();

  EXPECT_EQ(answer, 42);
  EXPECT_NE(worker, std::this_thread::get_id());
  EXPECT_EQ(end, std::this_thread::get_id());
  EXPECT_FALSE(jobs.busy(3));
  EXPECT_TRUE(jobs.state(*number)->over);
  EXPECT_FALSE(jobs.state(*number)->error);
  EXPECT_FALSE(jobs.state(*number + 1));
}

TEST_F(JobsTest, OneThatHangsKeepsItsOwnDomainOnly) {
  std::promise<void> released;
  const auto hung = jobs.start<void>(
      3, "hanging",
      [&] {
        released.get_future().wait();
        return Result<>();
      },
      [](const Result<>&) {});
  ASSERT_TRUE(hung);
  const auto second = jobs.start<void>(
      3, "more", [] { return Result<>(); }, [](const Result<>&) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kBusy);
  EXPECT_THAT(second.error().what(), HasSubstr("hanging (job 1)"));

  bool done = false;
  ASSERT_TRUE(jobs.start<void>(
      4, "another's", [] { return Result<>(); }, [&](const Result<>&) { done = true; }));
  collect(4);
  EXPECT_TRUE(done);
  EXPECT_TRUE(jobs.busy(3));
  released.set_value();
  collect(3);
}

TEST_F(JobsTest, AnExceptionEndsTheJob) {
  std::vector<std::string> errors;
  const auto done = [&](Result<> result) { errors.push_back(result.error().what()); };
  const auto first = jobs.start<void>(
      3, "much", []() -> Result<> { throw std::bad_alloc(); }, done);
  ASSERT_TRUE(first);
  collect(3);
  ASSERT_TRUE(jobs.start<void>(
      3, "wrong", []() -> Result<> { throw std::runtime_error("of a library"); }, done));
  collect(3);

  EXPECT_THAT(errors, ElementsAre(HasSubstr("Cannot allocate memory"), "of a library"));
  EXPECT_EQ(jobs.state(*first)->error->os_errno(), ENOMEM);
}

TEST_F(JobsTest, TheEndOfAJobMayBeginAnother) {
  int steps = 0;
  const auto end = [&](const Result<>&) { ++steps; };
  ASSERT_TRUE(jobs.start<void>(
      3, "first", [] { return Result<>(); },
      [&](const Result<>&) {
        ++steps;
        EXPECT_TRUE(jobs.start<void>(
            3, "second", [] { return Result<>(); }, end));
      }));
  collect(3);
  EXPECT_EQ(steps, 2);
}

TEST_F(JobsTest, OldJobsAreForgottenNewOnesAreNot) {
  JobNumber last = 0;
  for (int i = 0; i < 300; ++i) {
    last = *jobs.start<void>(
        3, "short", [] { return Result<>(); }, [](const Result<>&) {});
    collect(3);
  }
  EXPECT_FALSE(jobs.state(1));
  EXPECT_TRUE(jobs.state(last));
  EXPECT_TRUE(jobs.state(last - 100));
}

TEST_F(JobsTest, AnEndThatFailsTakesNoOtherWithIt) {
  bool ended = false;
  const auto works = [] { return Result<>(); };
  const auto first =
      jobs.start<void>(3, "failing", works, [](const Result<>&) { throw std::bad_alloc(); });
  wait();
  const auto second = jobs.start<void>(4, "good", works, [&](const Result<>&) { ended = true; });
  wait();
  jobs.collect();
  EXPECT_TRUE(ended);
  EXPECT_FALSE(jobs.busy(3));
  EXPECT_TRUE(jobs.state(*first)->error);
  EXPECT_FALSE(jobs.state(*second)->error);
}

TEST_F(JobsTest, GuestsAreReadWhenAskedFor) {
  std::mutex mutex;
  std::string said = "registered";
  GuestObserver guests(
      [&](unsigned domid, bool all) -> Result<GuestNews> {
        if (domid == 9) return fail(ErrorCode::kOs, "xenstored is gone");
        const std::lock_guard lock(mutex);
        GuestKeys keys{{HADUMP_XS_STATE, said}};
        if (all) keys[HADUMP_XS_PROGRESS] = "50%";
        return GuestNews{keys, "", 0};
      },
      wakeup);
  guests.follow({{3, false}, {9, true}});
  const auto look = [&] {
    const auto ticket = guests.ask();
    while (!guests.answered(ticket)) wait();
    EXPECT_GE(guests.heard().look, ticket);
    return guests.heard().news;
  };
  auto keys = look();
  EXPECT_EQ(keys.at(3).keys.at(HADUMP_XS_STATE), "registered");
  EXPECT_EQ(keys.at(3).keys.at(HADUMP_XS_PROGRESS), "50%") << "whoever asks gets all of it";
  EXPECT_FALSE(keys.contains(9));
  {
    const std::lock_guard lock(mutex);
    said = "done";
  }
  EXPECT_EQ(look().at(3).keys.at(HADUMP_XS_STATE), "done")
      << "a look that began after the question";
}

// What was read before is still there, and nobody takes it for an answer.
TEST_F(JobsTest, ALookWithoutMemoryIsNoAnswer) {
  GuestObserver guests([](unsigned, bool) -> Result<GuestNews> { throw std::bad_alloc(); }, wakeup);
  guests.follow({{3, false}});
  const auto ticket = guests.ask();
  while (!guests.answered(ticket)) std::this_thread::yield();
  EXPECT_LT(guests.heard().look, ticket);
}

TEST_F(JobsTest, AXenstoredThatHangsKeepsNobodyWaiting) {
  std::promise<void> begun;
  std::promise<void> released;
  GuestObserver guests(
      [&](unsigned, bool) -> Result<GuestNews> {
        begun.set_value();
        released.get_future().wait();
        return GuestNews{};
      },
      wakeup);
  guests.follow({{3, false}});
  const auto ticket = guests.ask();
  begun.get_future().wait();

  EXPECT_FALSE(guests.answered(ticket));
  EXPECT_TRUE(guests.heard().news.empty());
  EXPECT_LT(guests.heard().look, ticket);
  guests.follow({});
  released.set_value();
}

}  // namespace
}  // namespace hadump
