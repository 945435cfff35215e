// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/save/save_with.h"

#include <gmock/gmock.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/base/file.h"
#include "core/save/mounted_disks.h"
#include "core/save/save_lock.h"
#include "tests/fakes/save/fake_machine.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using Reason = SaveWithFailure::Reason;

class Words : public SaveReporter {
 public:
  void info(const std::string& text) override { said += text + '\n'; }
  void warn(const std::string& text) override { said += text + '\n'; }
  void located(const std::vector<std::string>&) override {}
  void progress(const SaveProgress&) override {}
  void finished(const SaveProgress&) override {}

  std::string said;
};

class SavingWith : public testing::Test {
 protected:
  SavingWith() {
    seams_.releaser = releaser_.get();
    seams_.dump = WaitingDump{std::string(32, 'a'), "added", 1'000'000'000, 1};
    seams_.block_bytes = FakeMachine::kBlockFrames * kFrameSize;
    seams_.state_dir = dir_ / "state";
  }

  SaveWithResult save(const RunProgram& run) { return save_with(options_, seams_, run, words_); }
  /// A program that ends so, after `meanwhile`.
  RunProgram program(ProgramEnd end, const std::function<void()>& meanwhile = {}) {
    return [this, end, meanwhile](const ProgramCall& call) -> Result<ProgramEnd> {
      ++runs_;
      call_ = call;
      if (meanwhile) meanwhile();
      return end;
    };
  }
  void expect_untouched(const SaveWithResult& result, Reason reason, const std::string& text) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().reason, reason);
    EXPECT_THAT(result.error().error.what(), HasSubstr(text));
    EXPECT_EQ(machine_.held_frames(), held_);
    EXPECT_FALSE(machine_.all_back());
    EXPECT_FALSE(std::filesystem::exists(note_));
  }

  TemporaryDirectory dir_;
  FakeMachine machine_{1, 1, 6};
  std::unique_ptr<RegionReleaser> releaser_ = machine_.releaser();
  FrameSet held_ = machine_.held_frames();
  Words words_;
  SaveWithOptions options_{{"/bin/true", "/proc/vmcore"}, "", true, false};
  SaveSeams seams_;
  std::string note_ = dir_ / "state/" + std::string(32, 'a') + ".saved";
  int runs_ = 0;
  ProgramCall call_;
};

TEST_F(SavingWith, GivesEverythingBackWhenTheProgramHasSucceeded) {
  const auto saved = save(program({0, 0}, [&] { EXPECT_EQ(machine_.held_frames(), held_); }));
  ASSERT_TRUE(saved) << saved.error().error.what();
  EXPECT_TRUE(saved->all_back);
  EXPECT_TRUE(machine_.all_back());
  EXPECT_EQ(saved->bytes_released, held_.bytes());
  EXPECT_EQ(machine_.violation(), "");
  EXPECT_EQ(call_.words, options_.words);
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "state"));
}

TEST_F(SavingWith, GivesNothingBackWhenItFails) {
  expect_untouched(save(program({3, 0})), Reason::kProgram, "/bin/true failed with exit status 3");
  expect_untouched(save(program({0, SIGKILL})), Reason::kStopped, "ended by signal 9");
  expect_untouched(
      save([](const ProgramCall&) -> Result<ProgramEnd> { return fail_os(ENOEXEC, "starting"); }),
      Reason::kNoProgram, "starting");
  EXPECT_EQ(machine_.violation(), "");
}

// A program that says 0 although it was stopped has not saved everything.
TEST_F(SavingWith, GivesNothingBackWhenItIsStopped) {
  bool stop = false;
  seams_.cancelled = [&] { return stop; };
  expect_untouched(save(program({0, 0}, [&] { stop = true; })), Reason::kStopped, "/bin/true");
}

TEST_F(SavingWith, GivesNothingBackWhenSomebodyReleasesMemoryMeanwhile) {
  const FrameRange one{held_.ranges()[0].begin, Gfn{held_.ranges()[0].begin.value + 1}};
  const auto saved = save(program({0, 0}, [&] { ASSERT_TRUE(machine_.release_by_hand(one)); }));
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().reason, Reason::kTaken);
  EXPECT_THAT(saved.error().error.what(), HasSubstr("4 KiB of memory was released"));
  EXPECT_EQ(machine_.held_frames(), held_);
  // Nor later: no other program can read that frame any more.
  expect_untouched(save(program({0, 0})), Reason::kLacksEarlier, "was released before");
  EXPECT_EQ(runs_, 1);
}

TEST_F(SavingWith, NoticesThatAllIsReleasedMeanwhile) {
  const auto saved = save(program({0, 0}, [&] { machine_.release_all_by_hand(); }));
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().reason, Reason::kTaken);
  EXPECT_EQ(save(program({0, 0})).error().reason, Reason::kNoDump);
  EXPECT_EQ(runs_, 1);
}

TEST_F(SavingWith, IsOneOfAllSaversAndSharesTheLockWithTheProgram) {
  const std::string path = dir_ / "state/" + std::string(32, 'a') + ".lock";
  {
    const auto other = SaveLock::take(path, "process 7 (release-region), to /crash");
    ASSERT_TRUE(other);
    expect_untouched(save(program({0, 0})), Reason::kLocked, "process 7");
    EXPECT_EQ(runs_, 0);
  }
  EXPECT_TRUE(save(program({0, 0}, [&] {
    EXPECT_THAT(SaveLock::take(path, "another").error().what(), HasSubstr("/bin/true"));
    EXPECT_EQ(releaser_->lock().error().code(), ErrorCode::kBusy);
    EXPECT_EQ(call_.shared_fds.size(), 2U);
    for (const int fd : call_.shared_fds)  // They are the same locks.
      EXPECT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  })));
}

TEST_F(SavingWith, RefusesATargetThatWillNotLast) {
  options_ = {{"/bin/true"}, "/dev/shm", false, false};
  expect_untouched(save(program({0, 0})), Reason::kTarget, "/dev/shm");
  options_.into = "var/crash";
  expect_untouched(save(program({0, 0})), Reason::kTarget, "not an absolute path");
  for (const char* none : {"true", "/bin", "/bin/no-such-program"}) {
    options_ = {{none}, "", false, false};
    expect_untouched(save(program({0, 0})), Reason::kTarget, none);
  }
  EXPECT_EQ(runs_, 0);
}

// As in `save-with -- /bin/cp /proc/vmcore /dev/shm/x`.
TEST_F(SavingWith, LooksWhereAnArgumentLeadsIfNobodySaysWhere) {
  options_.volatile_target = false;
  for (const char* place :
       {"/dev/shm/x", "/dev/shm/", "/dev/shm/none/{}.kdump", "of=/dev/shm/x", "--output=/dev/shm/x",
        "cat /proc/vmcore >/dev/shm/x", "cat </proc/vmcore >'/dev/shm/x'", "/var/../dev/shm/x"}) {
    options_.words = {"/bin/true", "/proc/vmcore", place};
    expect_untouched(save(program({0, 0})), Reason::kTarget, "/dev/shm");
    EXPECT_FALSE(check_save_with(options_, seams_)) << place;
  }
  EXPECT_EQ(runs_, 0);
  for (const char* place : {"/dev/null", "user@host:/dev/shm/x", "ftp://host/dev/shm/x", "-l",
                            "/usr/lib/none/vmlinux", "/sys/kernel/x"}) {
    options_.words = {"/bin/true", "/proc/vmcore", place};
    const auto checked = check_save_with(options_, seams_);
    EXPECT_TRUE(checked) << place << ": " << checked.error().what();
  }
  options_.words = {"/bin/true", "/proc/vmcore", "/dev/shm/x"};
  options_.volatile_target = true;
  EXPECT_TRUE(check_save_with(options_, seams_));
  EXPECT_THAT(words_.said, testing::IsEmpty());
  options_ = {{"/bin/true", "/proc/vmcore"}, "", false, false};
  EXPECT_TRUE(save(program({0, 0})));
  EXPECT_THAT(words_.said, HasSubstr("not known where /bin/true writes"));
}

/// What an unprivileged user can exchange would run as root.
TEST_F(SavingWith, RefusesAProgramThatOthersCanChange) {
  const std::string program = dir_ / "bin/saver";
  std::filesystem::create_directories(dir_ / "bin");
  ASSERT_TRUE(write_file_atomically(program, "#!/bin/sh\n", 0755));
  const auto expect = [&](const std::string& word, const char* text) {
    options_ = {{word}, "", true, false};
    expect_untouched(save(this->program({1, 0})),
                     text != nullptr ? Reason::kTarget : Reason::kProgram,
                     text != nullptr ? text : "failed with exit status 1");
  };
  expect(program, nullptr);
  std::filesystem::create_symlink(program, dir_ / "link");
  expect(dir_ / "link", nullptr);
  for (const mode_t mode : {0757, 0777}) {
    ASSERT_EQ(::chmod(program.c_str(), mode), 0);
    expect(program, "can be changed by others");
    expect(dir_ / "link", "can be changed by others");
  }
  ASSERT_EQ(::chmod(program.c_str(), 0755), 0);
  std::filesystem::create_directory(dir_ / "open");
  std::filesystem::create_symlink(program, dir_ / "open/link");
  ASSERT_EQ(::chmod((dir_ / "open").c_str(), 0777), 0);
  expect(dir_ / "open/link", "open can be changed by others");
  expect(dir_ / "open/../link", "open can be changed by others");
  if (::geteuid() != 0) return;
  ASSERT_EQ(::chown(program.c_str(), 65534, 0), 0);
  expect(program, "belongs to user 65534");
}

/// With an access list the group's bits are the mask of all that it names.
TEST_F(SavingWith, RefusesAProgramThatAnAccessListLetsOthersWrite) {
  const std::string program = dir_ / "saver";
  ASSERT_TRUE(write_file_atomically(program, "#!/bin/sh\n", 0755));
  // The version, then each entry's tag and permissions, and whose they are.
  const auto entry = [](unsigned tag, unsigned permissions) { return tag | permissions << 16U; };
  const std::uint32_t list[] = {2,   entry(1, 7),    ~0U, entry(2, 7),    65534, entry(4, 5),
                                ~0U, entry(0x10, 7), ~0U, entry(0x20, 5), ~0U};
  if (::setxattr(program.c_str(), "system.posix_acl_access", list, sizeof(list), 0) != 0)
    GTEST_SKIP() << "no access lists here";
  options_ = {{program}, "", true, false};
  expect_untouched(save(this->program({1, 0})), Reason::kTarget, "access control list");
}

/// A disk whose name cannot be opened is none; a directory that is named must be there.
TEST_F(SavingWith, SaysWhenTheDirectoryIsNotThere) {
  options_.into = dir_ / "none";
  expect_untouched(save(program({0, 0})), Reason::kError, "none");
  EXPECT_EQ(runs_, 0);
}

// Killed at any moment: either nothing was released and the program runs again, or it has succeeded
// and does not.
TEST_F(SavingWith, GoesOnWhereItWasKilled) {
  for (std::uint64_t at = 1;; ++at) {
    FakeMachine machine(at, 1, 3);  // Small: each attempt syncs this machine.
    const FrameSet held = machine.held_frames();
    TemporaryDirectory dir;
    seams_.state_dir = dir / "state";
    const auto attempt = [&] {
      const auto releaser = machine.releaser();
      seams_.releaser = releaser.get();
      return save_with(options_, seams_, program({0, 0}), words_);
    };
    const pid_t child = ::fork();
    if (child == 0) {
      machine.kill_after(at);
      const auto saved = attempt();
      ::_exit(saved && saved->all_back ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    machine.kill_after(0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    ASSERT_EQ(WEXITSTATUS(status), FakeMachine::kKilled);
    const bool began = machine.held_frames() != held || machine.all_back();
    runs_ = 0;
    const auto saved = attempt();
    if (machine.all_back() && !saved) {
      EXPECT_EQ(saved.error().reason, Reason::kNoDump);
      continue;
    }
    ASSERT_TRUE(saved) << at << ": " << saved.error().error.what();
    EXPECT_TRUE(saved->all_back);
    EXPECT_TRUE(!began || runs_ == 0) << at;
    EXPECT_EQ(saved->released_now, runs_ == 0);
    EXPECT_EQ(machine.violation(), "");
    ASSERT_LT(at, 1000U);
  }
}

TEST_F(SavingWith, TriesAgainWhatLinuxRefuses) {
  machine_.refuse_releases(ErrorCode::kOs, 2);
  const auto saved = save(program({0, 0}));
  ASSERT_TRUE(saved);
  if (saved->all_back) return;
  EXPECT_TRUE(std::filesystem::exists(note_));
  const auto again = save(program({1, 0}));
  ASSERT_TRUE(again) << again.error().error.what();
  EXPECT_TRUE(again->released_now);
  EXPECT_TRUE(again->all_back);
  EXPECT_EQ(runs_, 1);
}

// What somebody else has written is no reason to release memory.
TEST_F(SavingWith, DoesNotBelieveANoteThatOthersCanChange) {
  std::filesystem::create_directory(dir_ / "state");
  std::ofstream(note_) << "saved\n";
  ASSERT_EQ(::chmod(note_.c_str(), 0666), 0);
  const auto saved = save(program({1, 0}));
  ASSERT_FALSE(saved);
  EXPECT_EQ(machine_.held_frames(), held_);
  EXPECT_EQ(runs_, 0);
}

class TwoDisks : public FileSystems {
 public:
  explicit TwoDisks(std::string text) : text_(std::move(text)) {}
  Result<std::uint64_t> type(const std::string&) const override { return 0xEF53; }
  Result<std::string> mounts() const override { return text_; }

 private:
  std::string text_;
};

TEST(MountedDisks, AreThoseThatCanBeWritten) {
  TemporaryDirectory dir;
  std::filesystem::create_directories(dir / "a disk");
  std::filesystem::create_directories(dir / "other");
  const std::string root = dir / "";
  std::string escaped = root + "a\\040disk";
  const TwoDisks systems("1 0 8:1 / " + escaped + " rw,noatime shared:1 - ext4 /dev/a rw\n" +
                         "2 0 8:1 /x " + root + "other rw - ext4 /dev/a rw\n" + "3 0 8:2 / " +
                         root + "other ro,noatime - ext4 /dev/b rw\n" + "4 0 0:5 / " + root +
                         "other rw - tmpfs tmpfs rw\n" + "5 0 8:3 / " + root +
                         "none rw - ext4 /dev/c rw\nshort line\n");
  const auto disks = MountedDisks::open(systems, root);
  ASSERT_TRUE(disks) << disks.error().what();
  EXPECT_THAT(disks->points(), testing::ElementsAre(root, root + "a disk"));
  EXPECT_TRUE(disks->sync());
}

}  // namespace
}  // namespace hadump
