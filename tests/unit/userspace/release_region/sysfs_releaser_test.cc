// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/sysfs_releaser.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "tests/unit/userspace/release_region/with_sysfs.h"

namespace hadump {
namespace {

using testing::HasSubstr;

TEST_F(WithSysfs, ReleaseWritesStartAndLengthInHexadecimal) {
  SysfsReleaser releaser(root());
  ASSERT_TRUE(releaser.release(frames_of_bytes(0x10000000, 0x8000000)));
  EXPECT_EQ(read("release_region"), "0x10000000 0x8000000\n");
}

TEST(ReleaseError, TellsTheReasonsApart) {
  const FrameRange range = frames_of_bytes(0x1000, 0x1000);
  EXPECT_EQ(release_error(EBUSY, range).code(), ErrorCode::kBusy);
  EXPECT_EQ(release_error(EOPNOTSUPP, range).code(), ErrorCode::kUnsupported);
  EXPECT_EQ(release_error(ENOMEM, range).code(), ErrorCode::kOs);
  for (int bad : {EINVAL, EFAULT, ERANGE, EALREADY})
    EXPECT_EQ(release_error(bad, range).code(), ErrorCode::kBadData);
  EXPECT_THAT(release_error(EALREADY, range).what(), HasSubstr("[0x1000, 0x2000)"));
}

}  // namespace
}  // namespace hadump
