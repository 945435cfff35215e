// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_status.h"

#include <gmock/gmock.h>

#include "tests/unit/userspace/release_region/with_sysfs.h"
#include "userspace/cli/exit_codes.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::Not;

class StatusCommand : public WithSysfs {
 protected:
  int status(const StatusOptions& options) { return run_status(options, root(), root(), io_); }
};

TEST_F(StatusCommand, SaysThatADumpWaits) {
  EXPECT_EQ(status({}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("a dump waits: cccc"));
  EXPECT_THAT(out_.str(), HasSubstr("held 128 MiB, released 128 MiB, save area 256 MiB"));
  EXPECT_THAT(out_.str(), HasSubstr("last report: half of it"));
}

TEST_F(StatusCommand, SaysThatNoneDoes) {
  std::filesystem::remove(dir_ / "release_region");
  EXPECT_EQ(status({false, true}), kExitNothing);
  EXPECT_THAT(out_.str(), HasSubstr("\"dump_waits\":false"));
}

TEST_F(StatusCommand, WarnsOfAKdumpKernel) {
  write("kexec_crash_loaded", "0\n");
  EXPECT_EQ(status({}), kExitOk);
  EXPECT_THAT(out_.str(), Not(HasSubstr("kdump")));
  write("kexec_crash_loaded", "1\n");
  EXPECT_EQ(status({}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("a kdump kernel is loaded"));
  EXPECT_EQ(status({false, true}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("\"kdump_loaded\":true"));
}

TEST_F(StatusCommand, SaysWhyMemoryCannotBeGivenBack) {
  write("hadump/enabled", "0\n");
  write("hadump/refusal", "a PV guest\n");
  EXPECT_EQ(status({}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("hadump works here: no: a PV guest\n"));
  out_.str("");
  EXPECT_EQ(status({false, true}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("\"refusal\":\"a PV guest\""));
}

TEST_F(StatusCommand, NeedsTheModule) {
  std::filesystem::remove(dir_ / "hadump/enabled");
  EXPECT_EQ(status({}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("is hadump.ko loaded?"));
}

TEST_F(StatusCommand, SaysWhatIsNotAsBefore) {
  std::filesystem::remove(dir_ / "release_region");
  EXPECT_EQ(status({}), kExitNothing);
  EXPECT_THAT(out_.str(), Not(HasSubstr("not as before")));
  write("not-restored", "huge pages of 2048 kB: 9 are wanted, 3 are there\nnot\x1b[2J before\n");
  EXPECT_EQ(status({}), kExitNothing);
  EXPECT_THAT(out_.str(), HasSubstr("not as before the crash: huge pages of 2048 kB: 9 are wanted, "
                                    "3 are there\nnot as before the crash: not"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
  EXPECT_EQ(status({false, true}), kExitNothing);
  EXPECT_THAT(out_.str(), HasSubstr("\"not_restored\":[\"huge pages of 2048 kB: 9"));
}

TEST_F(StatusCommand, SaysWhyARescueBootHasFailed) {
  write("rescue", "cannot mount /var\nnot saved\x1b[2J\n");
  EXPECT_EQ(status({}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("rescue boot: cannot mount /var\nrescue boot: not saved"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
  EXPECT_EQ(status({false, true}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("\"rescue\":[\"cannot mount /var\""));
  std::filesystem::remove(dir_ / "release_region");
  out_.str("");
  EXPECT_EQ(status({}), kExitNothing);
  EXPECT_THAT(out_.str(), Not(HasSubstr("rescue boot"))) << "it was saved since";
}

}  // namespace
}  // namespace hadump
