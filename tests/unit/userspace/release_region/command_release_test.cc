// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/command_release.h"

#include <gmock/gmock.h>

#include "tests/unit/userspace/release_region/with_sysfs.h"
#include "userspace/cli/exit_codes.h"
#include "userspace/release_region/sysfs_releaser.h"

namespace hadump {
namespace {

using testing::HasSubstr;

TEST_F(WithSysfs, DryRunChangesNothingAndChecks) {
  SysfsReleaser releaser(root());
  EXPECT_EQ(run_release(*parse_release({"10000000", "0x8000000", "--dry-run"}), releaser, io_),
            kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("would release [0x10000000, 0x18000000), 128 MiB"));
  EXPECT_EQ(run_release(*parse_release({"10000000", "10000000", "-n"}), releaser, io_),
            kExitFailed);
  EXPECT_EQ(read("release_region"), "");
}

TEST(ParseRelease, IsStrict) {
  const auto good = parse_release({"0x1000", "2000"});
  ASSERT_TRUE(good);
  EXPECT_EQ(good->range, frames_of_bytes(0x1000, 0x2000));
  using Args = std::vector<std::string>;
  for (const Args& bad :
       {Args{}, Args{"1000"}, Args{"1000", "0"}, Args{"1001", "1000"}, Args{"1000", "10"},
        Args{"1000", "1000", "1000"}, Args{"-1000", "1000"}, Args{"1000", "0x1000 "},
        Args{"fffffffffffff000", "2000"}, Args{"1000", "1000", "--dry"}})
    EXPECT_FALSE(parse_release(bad)) << testing::PrintToString(bad);
}

}  // namespace
}  // namespace hadump
