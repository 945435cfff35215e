// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_show.h"

#include <gmock/gmock.h>

#include "tests/unit/userspace/release_region/with_sysfs.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/release_region/sysfs_releaser.h"

namespace hadump {
namespace {

using testing::HasSubstr;

TEST_F(WithSysfs, ShowPrintsRangesAndTotals) {
  SysfsReleaser releaser(root());
  const WaitingDump dump{std::string(32, 'c'), "added", 1'000'000'000, 1};
  EXPECT_EQ(run_show({}, dump, releaser, io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("2001-09-09T01:46:40Z"));
  EXPECT_THAT(out_.str(), HasSubstr("0x0000000010000000 0x0000000018000000    128 MiB  held\n"));
  EXPECT_THAT(out_.str(), HasSubstr("save-area     256 MiB\n"));
}

TEST_F(WithSysfs, ShowPrintsJson) {
  SysfsReleaser releaser(root());
  EXPECT_EQ(run_show({false, true}, WaitingDump{"id", "", 7, 1}, releaser, io_), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr(R"({"start":268435456,"end":402653184,"state":"held"})"));
  EXPECT_THAT(out_.str(), HasSubstr(R"("held":134217728)"));
}

}  // namespace
}  // namespace hadump
