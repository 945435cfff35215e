// SPDX-License-Identifier: GPL-2.0-or-later
// hadumpd without memory, and on a disk that cannot be read: what fails is one job, one line or one
// look, never the process.
#include <dirent.h>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <poll.h>

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <new>
#include <stdexcept>

#include "hv/domain/parallel.h"
#include "hv/hadumpd/preparer.h"
#include "hv/hadumpd/stall_watch.h"
#include "hv/hadumpd/state_directory.h"
#include "hv/hadumpd/thread_jobs.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace {

thread_local int allocations_left = -1;  // negative: as many as it wants
bool reading_fails = false;

}  // namespace

void* operator new(std::size_t bytes) {
  if (allocations_left == 0) throw std::bad_alloc();
  if (allocations_left > 0) --allocations_left;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept try {
  return operator new(bytes);
} catch (const std::bad_alloc&) {
  return nullptr;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

// Of libstdc++'s directory_iterator. An unreadable sector; the first entries are read.
extern "C" dirent* readdir(DIR* directory) {
  static const auto next = reinterpret_cast<dirent* (*)(DIR*)>(dlsym(RTLD_NEXT, "readdir"));
  dirent* const entry = next(directory);
  if (!reading_fails || entry == nullptr || entry->d_name[0] == '.') return entry;
  static thread_local DIR* seen = nullptr;
  if (std::exchange(seen, directory) != directory) return entry;
  seen = nullptr;
  errno = EIO;
  return nullptr;
}

namespace hadump {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

/// So many allocations of this thread succeed, then none, to the end of a block.
class Allocations {
 public:
  explicit Allocations(int left) { allocations_left = left; }
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;
  ~Allocations() { allocations_left = -1; }
};

class NoMemoryTest : public testing::Test {
 protected:
  void wait() const {
    pollfd fd{wakeup.fd(), POLLIN, 0};
    ASSERT_EQ(poll(&fd, 1, 60000), 1);
    wakeup.clear();
  }
  // @return whether there is a job more.
  bool start(unsigned domid, int allocations) {
    const std::string what(100, 'x');
    const Allocations few(allocations);
    try {
      return jobs
          .start<void>(
              domid, what, [] { return Result<>(); }, [](const Result<>&) {})
          .has_value();
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  TemporaryDirectory directory;
  const std::string home = directory / "home";
  Wakeup wakeup = std::move(*Wakeup::create());
  ThreadJobs jobs{wakeup};
};

// The job of another, and the domain's own that it already has, are as they were.
TEST_F(NoMemoryTest, AJobThatCannotBeginLeavesTheOthers) {
  std::promise<void> released;
  const auto hung = jobs.start<void>(
      3, "hanging",
      [&] {
        released.get_future().wait();
        return Result<>();
      },
      [](const Result<>&) {});
  ASSERT_TRUE(hung);
  for (int allocations = 0; allocations < 40; ++allocations) {
    EXPECT_FALSE(start(3, allocations));
    EXPECT_TRUE(jobs.busy(3)) << allocations;
    ASSERT_TRUE(jobs.state(*hung)) << allocations;
    EXPECT_FALSE(jobs.state(*hung)->over);
  }
  int allocations = 0;
  while (!start(4, allocations)) {
    EXPECT_FALSE(jobs.busy(4)) << allocations;
    ASSERT_LT(++allocations, 100);
  }
  EXPECT_GT(allocations, 5);
  released.set_value();
  while (jobs.busy(3) || jobs.busy(4)) {
    wait();
    jobs.collect();
  }
  EXPECT_TRUE(jobs.state(*hung)->over);
}

TEST_F(NoMemoryTest, JobsEndWithoutMemory) {
  int ended = 0;
  const auto works = [] { return Result<>(); };
  const auto fails = [&](const Result<>&) {
    ++ended;
    throw std::runtime_error("of a library");
  };
  const auto throws = [&](const Result<>&) {
    ++ended;
    throw 1;
  };
  const auto first = jobs.start<void>(3, "first", works, fails);
  wait();
  const auto second = jobs.start<void>(4, "second", works, throws);
  wait();
  const auto third = jobs.start<void>(5, "third", works, [&](const Result<>&) { ++ended; });
  wait();
  ASSERT_TRUE(first && second && third);
  {
    const Allocations none(0);
    jobs.collect();
  }
  EXPECT_EQ(ended, 3);
  for (const unsigned domid : {3U, 4U, 5U}) EXPECT_FALSE(jobs.busy(domid)) << domid;
  for (const JobNumber number : {*first, *second}) {
    ASSERT_TRUE(jobs.state(number)->error) << "nobody takes it for a success";
    EXPECT_THAT(jobs.state(number)->error->what(), HasSubstr("ending the job"));
  }
  EXPECT_FALSE(jobs.state(*third)->error);
}

TEST_F(NoMemoryTest, TheStallWatchGoesOnWhenALineCannotBeWritten) {
  std::mutex mutex;
  std::condition_variable wake;
  int calls = 0;
  StallWatch watch([&](const std::string&) {
    const std::lock_guard lock(mutex);
    if (++calls == 1) throw std::bad_alloc();
    wake.notify_all();
  });
  const WatchedWork work(watch, "domain 3 (web)", 20ms);
  std::unique_lock lock(mutex);
  EXPECT_TRUE(wake.wait_for(lock, 60s, [&] { return calls >= 2; }));
}

TEST_F(NoMemoryTest, ThePreparerSurvivesAnyException) {
  std::mutex mutex;
  std::vector<std::string> lines;
  std::filesystem::create_directories(home + "/run");
  Preparer preparer(
      {home, home + "/run"},
      [](unsigned domid) -> Result<AcpiTables> {
        if (domid == 3) throw std::runtime_error("of a library");
        if (domid == 4) throw std::bad_alloc();
        throw 1;
      },
      [&](const std::string& line) {
        const std::lock_guard lock(mutex);
        lines.push_back(line);
        if (lines.size() == 2) throw std::bad_alloc();
      });
  DomainConfig config;
  config.name = "web";
  config.kernel = home + "/none";
  config.acpi_key = "key";
  for (const unsigned domid : {3U, 4U, 5U}) {
    const auto begun = std::chrono::steady_clock::now();
    static_cast<void>(preparer.files(domid, config, 60s));
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 30s) << "nobody waits for what has failed";
  }
  const std::lock_guard lock(mutex);
  EXPECT_THAT(lines, testing::Contains("preparing a domain: of a library"));
  EXPECT_THAT(lines, testing::Contains("out of memory while preparing a domain"));
}

TEST_F(NoMemoryTest, WorkOnMemoryEndsWithAnError) {
  const auto done = parallel_for_pieces({{Gfn{0}, Gfn{64}}}, 1, [](FrameRange piece) -> Result<> {
    if (piece.begin.value % 7 == 3) throw std::runtime_error("of a library");
    return {};
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().os_errno(), ENOMEM);
}

// At each start, hadumpd would end there.
TEST_F(NoMemoryTest, ADirectoryThatCannotBeReadIsAnError) {
  std::filesystem::create_directories(home + "/domains");
  for (const char* name : {"domains/a.json", "domains/b.json", "kernel-1", "kernel-2"})
    std::ofstream(home + "/" + name) << "x";
  StateDirectory states(home, "");
  std::vector<std::string> complaints;
  reading_fails = true;
  const auto records = states.load_all(complaints);
  const auto captures = states.captures(complaints);
  EXPECT_NO_THROW(static_cast<void>(prune_kernel_cache(home, {})));
  reading_fails = false;
  ASSERT_FALSE(records);
  EXPECT_EQ(records.error().os_errno(), EIO);
  EXPECT_FALSE(captures);
  EXPECT_TRUE(states.load_all(complaints));
}

}  // namespace
}  // namespace hadump
