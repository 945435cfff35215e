// SPDX-License-Identifier: GPL-2.0-or-later
// What a save says when somebody has to do something.
#include <fcntl.h>
#include <gmock/gmock.h>

#include <cerrno>
#include <fstream>

#include "core/base/file.h"
#include "tests/unit/core/save/save_harness.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Messages, AFileThatIsThereStaysAndTheUserLearnsWhatToDo) {
  FakeMachine machine(1, 2, 8);
  const TemporaryDirectory dir;
  std::ofstream(dir / "vmcore") << "precious";
  const SaveRun run = save_here(machine, save_options(dir / "vmcore", find_output_format("kdump")));
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.messages, HasSubstr("creating " + (dir / "vmcore") + ": File exists"));
  EXPECT_THAT(run.messages,
              HasSubstr("What to do next: choose another file, or move this one away"));
  EXPECT_EQ(std::filesystem::file_size(dir / "vmcore"), 8U);
}

// Any user can make a machine short of these; a boot script gives no dump up for it.
TEST(ExitCodes, TellAMachineThatIsShortFromADiskThatFails) {
  for (const int error : {ENOMEM, EAGAIN, EMFILE, ENFILE}) {
    EXPECT_EQ(exit_code_of(Error::os(error, "opening x")), kExitShort) << error;
    EXPECT_EQ(exit_code_of_errno(error), kExitShort) << error;
  }
  for (const int error : {EIO, EROFS, ENOENT, EEXIST})
    EXPECT_EQ(exit_code_of(Error::os(error, "opening x")), kExitFailed) << error;
  EXPECT_EQ(exit_code_of(Error::os(ENOSPC, "writing x")), kExitTargetFull);
}

// A hook must not guess which directory is this dump's.
TEST(Messages, TheFilesAreToldToWhoeverAsks) {
  FakeMachine machine(1, 2, 8);
  const TemporaryDirectory dir;
  const UniqueFd names(::open((dir / "names").c_str(), O_RDWR | O_CREAT, 0600));
  const SaveRun run = save_here(machine, save_options(dir / "", find_output_format("kdump")),
                                std::numeric_limits<std::uint64_t>::max(), "", names.get());
  EXPECT_EQ(run.exit_code, kExitOk) << run.messages;
  EXPECT_EQ(*read_text_file(dir / "names", 4096), (dir / "guest-20010909T014640/vmcore\n"));
}

TEST(Messages, TheHostIsToldBeforeAnythingIsRead) {
  FakeMachine machine(9, 1, 4);
  const TemporaryDirectory dir;
  std::uint64_t told = 0;
  const SaveRun run = save_here(machine, save_options(dir / "vmcore", find_output_format("elf")),
                                kNoLimit, "", -1, [&] { told = machine.told_host(); });
  EXPECT_EQ(run.exit_code, kExitOk) << run.messages;
  EXPECT_EQ(told, 1U);
}

// The other dump's log is not this one's to replace.
TEST(Messages, TheLogOfAnotherDumpStays) {
  FakeMachine machine(1, 2, 8);
  const TemporaryDirectory dir;
  for (const char* name : {"vmcore", "vmcore-dmesg.txt", "x-dmesg.txt"})
    std::ofstream(dir / name) << "precious";
  EXPECT_EQ(save_here(machine, save_options(dir / "vmcore", find_output_format("elf"))).exit_code,
            kExitFailed);
  EXPECT_EQ(*read_text_file(dir / "vmcore-dmesg.txt", 100), "precious");
}

// An empty file of that name would be taken for a dump that can be continued.
TEST(Messages, NothingIsLeftOfASaveThatCouldNotBegin) {
  FakeMachine machine(1, 2, 8);
  const TemporaryDirectory dir;
  const SaveRun run =
      save_here(machine, save_options(dir / "vmcore", find_output_format("elf")), 0);
  EXPECT_EQ(run.exit_code, kExitTargetFull) << run.messages;
  EXPECT_THAT(run.messages, Not(HasSubstr("is readable")));
  EXPECT_FALSE(std::filesystem::exists(dir / "vmcore-incomplete"));
  EXPECT_EQ(machine.violation(), "");
}

// Without its journal nobody would continue it, nor know that it has nothing.
TEST(Messages, NothingIsLeftOfASaveWhoseJournalCannotBeWritten) {
  FakeMachine machine(1, 2, 8);
  const TemporaryDirectory dir;
  const auto block = [&] {
    std::filesystem::create_directories(dir / ".vmcore.hadump-journal/in the way");
  };
  const SaveRun run = save_here(machine, save_options(dir / "vmcore", find_output_format("elf")),
                                kNoLimit, "", -1, block);
  EXPECT_EQ(run.exit_code, kExitFailed) << run.messages;
  EXPECT_THAT(run.messages, HasSubstr("starting the journal"));
  EXPECT_FALSE(std::filesystem::exists(dir / "vmcore-incomplete"));
  EXPECT_EQ(machine.violation(), "");
}

// With FAILURE_ACTION=release any other status would cost the dump.
TEST(Messages, ATargetThatDoesNotLastIsRefusedUnlessNothingIsReleased) {
  FakeMachine machine(1, 2, 8);
  const TemporaryDirectory dir;
  if (check_lasting(dir / "", system_file_systems())) GTEST_SKIP() << "not in memory here";
  SaveOptions options = save_options(dir / "vmcore", find_output_format("elf"));
  options.volatile_target = false;
  const SaveRun refused = save_here(machine, options);
  EXPECT_EQ(refused.exit_code, kExitUsage);
  EXPECT_THAT(refused.messages, HasSubstr("gone after the next boot"));
  EXPECT_THAT(refused.messages, HasSubstr("--volatile-target"));
  EXPECT_TRUE(std::filesystem::is_empty(dir / ""));
  options.release = false;
  EXPECT_EQ(save_here(machine, options).exit_code, kExitOk);
}

}  // namespace
}  // namespace hadump
