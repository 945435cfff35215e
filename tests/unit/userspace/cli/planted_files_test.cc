// SPDX-License-Identifier: GPL-2.0-or-later
// Files that somebody else has put where a save looks: nothing of them is believed or written to.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>

#include "core/base/file.h"
#include "core/save/journal.h"
#include "tests/unit/core/save/save_harness.h"
#include "userspace/cli/log_file.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebodyElse = 65534;

class PlantedFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    fs::create_directory(dir_ / "target");
    // What the field has: /tmp, and on some systems /var/crash.
    ASSERT_EQ(::chmod((dir_ / "target").c_str(), 01777), 0);
  }

  void give_away(const std::string& name) const {
    ASSERT_EQ(::lchown((dir_ / name).c_str(), kSomebodyElse, kSomebodyElse), 0);
  }
  SaveRun save(const std::string& to = "target/vmcore") {
    return save_here(machine_, save_options(dir_ / to, find_output_format("kdump")),
                     std::numeric_limits<std::uint64_t>::max(), dir_ / "state");
  }
  void expect_all_held(const FrameSet& held) {
    EXPECT_EQ(machine_.held_frames(), held);
    EXPECT_EQ(machine_.violation(), "");
  }

  FakeMachine machine_{1, 1, 4};
  TemporaryDirectory dir_;
};

TEST_F(PlantedFiles, AForgedPublishedReleasesNothing) {
  const FrameSet held = machine_.held_frames();
  const JournalContent forged{std::string(32, 'a'),
                              "x",
                              {dir_ / "target/vmcore-incomplete"},
                              {dir_ / "target/vmcore"},
                              {{Gfn{0}, Gfn{1}}},
                              {},
                              {},
                              {{0, {{Gfn{0}, Gfn{1}}}}},
                              {},
                              false};
  const HeldFile journal = journal_beside(dir_.held("target/vmcore"));
  ASSERT_TRUE(Journal::create(journal, forged)->set_published());
  ASSERT_TRUE(write_file_atomically(dir_ / "target/vmcore", "not a dump", 0600));
  give_away("target/.vmcore.hadump-journal");
  give_away("target/vmcore");
  EXPECT_NE(save().exit_code, kExitOk);
  expect_all_held(held);
  EXPECT_EQ(*read_text_file(dir_ / "target/vmcore", 100), "not a dump");
}

TEST_F(PlantedFiles, ADirectoryOfTheDumpsNameIsNotUsed) {
  const FrameSet held = machine_.held_frames();
  fs::create_directory(dir_ / "target/guest-20010909T014640");
  give_away("target/guest-20010909T014640");
  EXPECT_EQ(save("target").exit_code, kExitUsage);
  expect_all_held(held);
  EXPECT_TRUE(fs::is_empty(dir_ / "target/guest-20010909T014640"));
}

// Nor is it an error of the disk, for which a boot script may be told to give the memory up.
TEST_F(PlantedFiles, WhateverIsInTheWayIsARefusedTarget) {
  const FrameSet held = machine_.held_frames();
  const std::string name = dir_ / "target/guest-20010909T014640";
  const std::function<void()> plants[] = {
      [&] { ASSERT_TRUE(write_file_atomically(name, "", 0644)); },
      [&] { ASSERT_EQ(::mkfifo(name.c_str(), 0666), 0); },
      [&] { fs::create_symlink("/nowhere", name); },
      [&] { fs::create_symlink(dir_ / "target", name); },
  };
  for (const auto& plant : plants) {
    plant();
    give_away("target/guest-20010909T014640");
    const SaveRun run = save("target");
    EXPECT_EQ(run.exit_code, kExitUsage) << run.messages;
    EXPECT_THAT(run.messages, testing::HasSubstr("nothing was changed. What to do next"));
    expect_all_held(held);
    fs::remove(name);
  }
}

TEST_F(PlantedFiles, ALinkIsNotWrittenThrough) {
  ASSERT_TRUE(write_file_atomically(dir_ / "precious", "content", 0600));
  for (const char* name : {"vmcore-incomplete", "vmcore-dmesg.txt"}) {
    fs::create_symlink(dir_ / "precious", dir_ / "target" + ("/" + std::string(name)));
    give_away("target/" + std::string(name));
  }
  const SaveRun run = save();
  EXPECT_EQ(run.exit_code, kExitOk) << run.messages;
  EXPECT_EQ(*read_text_file(dir_ / "precious", 100), "content");
  expect_truth({dir_ / "target/vmcore"}, machine_, machine_.old_frames());
}

// Without a list of saves there is still a dump to save.
TEST_F(PlantedFiles, AStateDirectoryOfOthersIsNotUsed) {
  fs::create_directory(dir_ / "state");
  give_away("state");
  const SaveRun run = save();
  EXPECT_EQ(run.exit_code, kExitOk) << run.messages;
  EXPECT_THAT(run.messages, testing::HasSubstr("belongs to user 65534"));
  EXPECT_TRUE(fs::is_empty(dir_ / "state"));
}

TEST(LogFile, IsOursAlone) {
  const TemporaryDirectory dir;
  const mode_t before = ::umask(0);
  for (const char* text : {"one", "two"}) {
    spdlog::logger log("test", open_log_file(dir / "log"));
    log.set_pattern("%v");
    log.info(text);
  }
  ::umask(before);
  EXPECT_EQ(*read_text_file(dir / "log", 100), "one\ntwo\n");
  EXPECT_EQ(static_cast<unsigned>(fs::status(dir / "log").permissions()), 0600U);
  fs::create_symlink(dir / "log", dir / "link");
  EXPECT_THROW(open_log_file(dir / "link"), spdlog::spdlog_ex);
  ASSERT_EQ(::chmod((dir / "log").c_str(), 0666), 0);
  EXPECT_THROW(open_log_file(dir / "log"), spdlog::spdlog_ex);
}

TEST(LogFile, BecomesOursAlone) {
  const TemporaryDirectory dir;
  ASSERT_TRUE(write_file_atomically(dir / "log", "before\n", 0644));
  open_log_file(dir / "log");
  EXPECT_EQ(static_cast<unsigned>(fs::status(dir / "log").permissions()), 0600U);
}

TEST(LogFile, IsNotWhereOthersCanChangeTheWay) {
  const TemporaryDirectory dir;
  fs::create_directory(dir / "open");
  fs::create_directory(dir / "ours");
  ASSERT_EQ(::chmod((dir / "open").c_str(), 0777), 0);
  EXPECT_THROW(open_log_file(dir / "open/log"), spdlog::spdlog_ex);
  EXPECT_FALSE(fs::exists(dir / "open/log"));
  fs::create_directory_symlink(dir / "ours", dir / "open/link");
  EXPECT_THROW(open_log_file(dir / "open/link/log"), spdlog::spdlog_ex);
  EXPECT_TRUE(fs::is_empty(dir / "ours"));
}

}  // namespace
}  // namespace hadump
