// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_status.h"

#include <gmock/gmock.h>

#include "tests/unit/userspace/release_region/with_sysfs.h"
#include "userspace/cli/exit_codes.h"

namespace hadump {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(WithSysfs, StatusSaysThatADumpWaits) {
  EXPECT_EQ(run_status({}, root(), dir_ / "not-restored", io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("a dump waits: cccc"));
  EXPECT_THAT(out_.str(), HasSubstr("held 128 MiB, released 128 MiB, save area 256 MiB"));
  EXPECT_THAT(out_.str(), HasSubstr("last report: half of it"));
}

TEST_F(WithSysfs, StatusSaysThatNoneDoes) {
  std::filesystem::remove(dir_ / "release_region");
  EXPECT_EQ(run_status({false, true}, root(), dir_ / "not-restored", io_), kExitNothing);
  EXPECT_THAT(out_.str(), HasSubstr("\"dump_waits\":false"));
}

TEST_F(WithSysfs, StatusWarnsOfAKdumpKernel) {
  write("kexec_crash_loaded", "0\n");
  EXPECT_EQ(run_status({}, root(), dir_ / "not-restored", io_), kExitOk);
  EXPECT_THAT(out_.str(), Not(HasSubstr("kdump")));
  write("kexec_crash_loaded", "1\n");
  EXPECT_EQ(run_status({}, root(), dir_ / "not-restored", io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("a kdump kernel is loaded"));
  EXPECT_EQ(run_status({false, true}, root(), dir_ / "not-restored", io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("\"kdump_loaded\":true"));
}

TEST_F(WithSysfs, StatusSaysWhyMemoryCannotBeGivenBack) {
  write("hadump/enabled", "0\n");
  write("hadump/refusal", "a PV guest\n");
  EXPECT_EQ(run_status({}, root(), dir_ / "not-restored", io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("hadump works here: no: a PV guest\n"));
  out_.str("");
  EXPECT_EQ(run_status({false, true}, root(), dir_ / "not-restored", io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("\"refusal\":\"a PV guest\""));
}

TEST_F(WithSysfs, StatusNeedsTheModule) {
  std::filesystem::remove(dir_ / "hadump/enabled");
  EXPECT_EQ(run_status({}, root(), dir_ / "not-restored", io_), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("is hadump.ko loaded?"));
}

TEST_F(WithSysfs, StatusSaysWhatIsNotAsBefore) {
  std::filesystem::remove(dir_ / "release_region");
  EXPECT_EQ(run_status({}, root(), dir_ / "not-restored", io_), kExitNothing);
  EXPECT_THAT(out_.str(), Not(HasSubstr("not as before")));
  write("not-restored", "huge pages of 2048 kB: 9 are wanted, 3 are there\nnot\x1b[2J before\n");
  EXPECT_EQ(run_status({}, root(), dir_ / "not-restored", io_), kExitNothing);
  EXPECT_THAT(out_.str(), HasSubstr("not as before the crash: huge pages of 2048 kB: 9 are wanted, "
                                    "3 are there\nnot as before the crash: not"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));
  EXPECT_EQ(run_status({false, true}, root(), dir_ / "not-restored", io_), kExitNothing);
  EXPECT_THAT(out_.str(), HasSubstr("\"not_restored\":[\"huge pages of 2048 kB: 9"));
}

}  // namespace
}  // namespace hadump
