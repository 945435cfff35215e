// SPDX-License-Identifier: GPL-2.0-or-later
// A hadumpd that starts where Xen does not answer yet, or that ends again and again, and what it
// has left on a full disk.
#include "hv/hadumpd/startup.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <vector>

#include "hv/hadumpd/core_directory.h"
#include "hv/hadumpd/disk_reserve.h"
#include "hv/hadumpd/event_loop.h"
#include "hv/hadumpd/options.h"
#include "hv/hadumpd/state_directory.h"

namespace hadump {
namespace {

using std::chrono::seconds;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Le;

class StartupTest : public testing::Test {
 protected:
  StartupTest() { EXPECT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &before), 0); }
  ~StartupTest() override {
    static_cast<void>(pthread_sigmask(SIG_SETMASK, &before, nullptr));
    std::filesystem::remove_all(directory);
  }
  std::string make_directory() {
    std::string path = testing::TempDir() + "hadump-startup-XXXXXX";
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    return path;
  }
  std::uint64_t blocks_of(const std::string& path) const {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
  }
  sigset_t before{};
  const std::string directory = make_directory();
};

TEST_F(StartupTest, WaitsForXen) {
  auto signals = take_signals();
  ASSERT_TRUE(signals);
  int calls = 0;
  const auto open = [&]() -> Result<> {
    return ++calls < 2 ? fail_os(ECONNREFUSED, "connecting to xenstored") : Result<>();
  };
  const auto opened = open_patiently(open, *signals);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(*opened);
  EXPECT_EQ(calls, 2);
}

TEST_F(StartupTest, ASignalEndsTheWait) {
  auto signals = take_signals();
  ASSERT_TRUE(signals);
  const auto open = [&]() -> Result<> {
    EXPECT_EQ(pthread_kill(pthread_self(), SIGHUP), 0);  // has no effect
    EXPECT_EQ(pthread_kill(pthread_self(), SIGTERM), 0);
    return fail_os(ENOENT, "connecting to xenstored");
  };
  const auto opened = open_patiently(open, *signals);
  ASSERT_TRUE(opened);
  EXPECT_FALSE(*opened);
}

TEST_F(StartupTest, DoesNotWaitForRights) {
  auto signals = take_signals();
  ASSERT_TRUE(signals);
  const auto opened = open_patiently(
      [] { return Result<>(fail_os(EACCES, "opening /dev/xen/privcmd")); }, *signals);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().os_errno(), EACCES);
}

TEST_F(StartupTest, PausesGrowWhenItEndsAgainAndAgain) {
  std::vector<seconds> pauses;
  for (int start = 0; start < 10; ++start)
    pauses.push_back(StartCount(directory + "/starts").begin());
  EXPECT_THAT(std::vector(pauses.begin(), pauses.begin() + 7),
              ElementsAre(seconds(0), seconds(0), seconds(0), seconds(1), seconds(2), seconds(4),
                          seconds(8)));
  EXPECT_THAT(pauses, Each(Le(seconds(10)))) << "a guest may be waiting";
}

TEST_F(StartupTest, AGoodRunEndsTheCount) {
  for (int start = 0; start < 5; ++start) StartCount(directory + "/starts").begin();
  StartCount good(directory + "/starts");
  EXPECT_GT(good.begin(), seconds(0));
  good.settled();
  EXPECT_EQ(StartCount(directory + "/starts").begin(), seconds(0));
}

TEST_F(StartupTest, AFileThatIsNotACountIsIgnored) {
  std::filesystem::create_symlink("/etc/passwd", directory + "/starts");
  EXPECT_EQ(StartCount(directory + "/starts").begin(), seconds(0));
  EXPECT_TRUE(std::filesystem::is_symlink(directory + "/starts"))
      << "nothing was written through it";
}

TEST_F(StartupTest, TheReserveHasBlocksAndGivesThem) {
  const std::string path = directory + "/reserve";
  DiskReserve reserve(path, 1 << 20);
  EXPECT_FALSE(reserve.give(1000)) << "nothing is there";
  reserve.fill();
  EXPECT_GE(blocks_of(path), 1U << 20);
  EXPECT_TRUE(reserve.give(1000));
  const std::uint64_t left = blocks_of(path);
  EXPECT_LT(left, 1U << 20);
  EXPECT_GT(left, (1U << 20) - (200U << 10));
  EXPECT_FALSE(reserve.give(2U << 20)) << "all of it is not enough";
  EXPECT_EQ(blocks_of(path), left) << "so it is not spent in vain";
  reserve.fill();
  EXPECT_GE(blocks_of(path), 1U << 20);
}

constexpr int kNotHere = 77;

// In a file system of 16 MiB, mounted for this process alone.
int write_records_on_a_full_disk(const std::string& directory) {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=16m,mode=700") != 0)
    return kNotHere;
  StateDirectory states(directory, "");
  std::vector<std::string> complaints;
  if (!states.load_all(complaints)) return 1;
  const int fd = open((directory + "/others").c_str(), O_WRONLY | O_CREAT, 0600);
  const std::string page(4096, 'x');
  while (write(fd, page.data(), page.size()) > 0) continue;
  DomainRecord record;
  record.uuid = "u";
  for (int step = 0; step < 24; ++step)
    if (!states.save(record)) return 2;
  // A second crash of the most pieces rewrites 3.5 MiB of ELF header, and 2 MiB of node.
  SnapshotRewrite rewrite;
  rewrite.elf_header.resize(65'535 * 56);
  rewrite.node.resize(2_MiB);
  if (!states.save_rewrite(record, rewrite)) return 4;
  DomainRecord other;
  other.uuid = "v";
  if (states.save_rewrite(other, rewrite)) return 5;  // there is room for one
  if (!states.save(other)) return 6;
  if (!states.save(record)) return 7;  // applied, and removed
  if (!states.save_rewrite(other, rewrite)) return 8;
  // What was given up must have been needed.
  while (write(fd, page.data(), page.size()) > 0) continue;
  std::filesystem::remove(directory + "/reserve");
  while (write(fd, page.data(), page.size()) > 0) continue;
  return states.save(record) ? 3 : 0;
}

TEST_F(StartupTest, RecordsAreWrittenOnAFullDisk) {
  const pid_t child = fork();
  if (child == 0) _exit(write_records_on_a_full_disk(directory));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNotHere) GTEST_SKIP() << "no file system can be mounted here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// A directory for temporary files is nobody's own, and its mode is not ours to change.
TEST_F(StartupTest, CoresAndRecordsGoToDirectoriesOfOurOwn) {
  const std::string open = directory + "/open";
  ASSERT_EQ(mkdir(open.c_str(), 0700), 0);
  ASSERT_EQ(chmod(open.c_str(), 01777), 0);
  CorePolicy policy;
  policy.directory = open;
  const auto written = CoreDirectory().write(policy, "web", 1, 4096, [](const std::string&) {
    ADD_FAILURE() << "a core was dumped";
    return Result<>();
  });
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().what(), HasSubstr("others can write"));
  struct stat info {};
  ASSERT_EQ(stat(open.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 01777U);
}

// Whatever the path leads to since it was looked at.
TEST_F(StartupTest, RecordsGoNowhereElse) {
  StateDirectory states(directory, "");
  std::vector<std::string> complaints;
  ASSERT_TRUE(states.load_all(complaints));
  DomainRecord record;
  record.uuid = "u";
  ASSERT_TRUE(states.save(record));
  std::filesystem::rename(directory + "/domains", directory + "/moved");
  std::filesystem::create_directory(directory + "/elsewhere");
  ASSERT_EQ(chmod((directory + "/elsewhere").c_str(), 0777), 0);
  std::filesystem::create_directory_symlink("elsewhere", directory + "/domains");
  EXPECT_FALSE(states.save(record));
  EXPECT_FALSE(states.save_rewrite(record, {}));
  EXPECT_TRUE(std::filesystem::is_empty(directory + "/elsewhere"));
  std::ofstream(directory + "/elsewhere/u.json") << "precious";
  std::ofstream(directory + "/elsewhere/u.rewrite");
  states.forget("u");
  EXPECT_TRUE(std::filesystem::exists(directory + "/elsewhere/u.json"));
  EXPECT_FALSE(states.load_rewrite(record));
  EXPECT_FALSE(states.load_all(complaints));
}

TEST_F(StartupTest, ARewriteThatWasAppliedIsRemoved) {
  StateDirectory states(directory, "");
  std::vector<std::string> complaints;
  ASSERT_TRUE(states.load_all(complaints));
  DomainRecord record;
  record.uuid = "u";
  ASSERT_TRUE(states.save_rewrite(record, {}));
  record.rewrite_pending = true;
  ASSERT_TRUE(states.save(record));
  EXPECT_TRUE(states.load_rewrite(record)) << "it is needed until the record says otherwise";
  record.rewrite_pending = false;
  ASSERT_TRUE(states.save(record));
  EXPECT_FALSE(std::filesystem::exists(directory + "/domains/u.rewrite"));
}

TEST_F(StartupTest, WhatAKilledAgentLeftIsRemoved) {
  StateDirectory states(directory, "");
  std::vector<std::string> complaints;
  ASSERT_TRUE(states.load_all(complaints));
  std::ofstream(directory + "/domains/u.json.0123456789abcdef.tmp");
  EXPECT_TRUE(states.load_all(complaints));
  EXPECT_TRUE(std::filesystem::is_empty(directory + "/domains"));
  EXPECT_TRUE(complaints.empty());
}

TEST_F(StartupTest, ACoreEndsWhereItBegan) {
  const std::string cores = directory + "/cores";
  CorePolicy policy;
  policy.directory = cores;
  const auto written =
      CoreDirectory().write(policy, "web", 1, 4096, [&](const std::string& path) -> Result<> {
        std::filesystem::rename(cores, directory + "/moved");
        std::filesystem::create_directory(directory + "/elsewhere");
        std::filesystem::create_directory_symlink("elsewhere", cores);
        std::ofstream(path) << "core";
        return {};
      });
  ASSERT_TRUE(written) << written.error().what();
  EXPECT_TRUE(std::filesystem::exists(directory + "/moved/web-1.core"));
  EXPECT_TRUE(std::filesystem::is_empty(directory + "/elsewhere"));
}

TEST_F(StartupTest, AConfigurationThatOthersCanWriteIsNotBelieved) {
  const std::string conf = directory + "/hadumpd.conf";
  std::ofstream(conf) << "[host]\nkeep-free = 1G\n";
  EXPECT_TRUE(read_policies(conf, true));
  ASSERT_EQ(chmod(conf.c_str(), 0666), 0);
  EXPECT_FALSE(read_policies(conf, true));
  std::filesystem::create_symlink(conf, directory + "/link");
  EXPECT_FALSE(read_policies(directory + "/link", true));
  ASSERT_EQ(chmod(conf.c_str(), 0644), 0);
  EXPECT_TRUE(read_policies(directory + "/link", true)) << "as configuration management makes one";
  EXPECT_TRUE(read_policies(directory + "/none", false));
  EXPECT_FALSE(read_policies(directory + "/none", true));
}

}  // namespace
}  // namespace hadump
