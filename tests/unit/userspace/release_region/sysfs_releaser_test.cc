// SPDX-License-Identifier: GPL-2.0-or-later
#include "userspace/release_region/sysfs_releaser.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <filesystem>

#include "tests/unit/userspace/release_region/with_sysfs.h"
#include "userspace/cli/regions_file.h"

namespace hadump {
namespace {

using testing::HasSubstr;

TEST_F(WithSysfs, ReleaseWritesStartAndLengthInHexadecimal) {
  SysfsReleaser releaser(root());
  ASSERT_TRUE(releaser.release(frames_of_bytes(0x10000000, 0x8000000)));
  EXPECT_EQ(read("release_region"), "0x10000000 0x8000000\n");
}

TEST_F(WithSysfs, ItsInterfaceIsLockedByOneAtATime) {
  SysfsReleaser one(root()), other(root());
  auto lock = one.lock();
  ASSERT_TRUE(lock) << lock.error().what();
  EXPECT_EQ(other.lock().error().code(), ErrorCode::kBusy);
  EXPECT_TRUE(one.release(frames_of_bytes(0x10000000, 0x8000000))) << "whoever has it";
  *lock = {};
  EXPECT_TRUE(other.lock());
  std::filesystem::remove(dir_ / "release_region");
  EXPECT_EQ(one.lock().error().code(), ErrorCode::kNotFound);
}

// The module has room for so many readers.
TEST(ReadPatiently, BeginsAgainWhereOthersWereFaster) {
  int reads = 0, busy = 5;
  std::chrono::milliseconds paused{};
  const auto read = [&]() -> Result<std::string> {
    if (++reads <= busy) return fail_os(EAGAIN, "regions");
    return "text";
  };
  const auto pause = [&](std::chrono::milliseconds time) { paused += time; };
  EXPECT_EQ(read_patiently(read, pause).value_or(""), "text");
  EXPECT_EQ(reads, 6);
  EXPECT_EQ(paused, std::chrono::milliseconds(1 + 2 + 4 + 8 + 16));
  busy = 1000;
  reads = 0;
  EXPECT_EQ(read_patiently(read, pause).error().os_errno(), EAGAIN);
  EXPECT_EQ(reads, 40);
  EXPECT_LT(paused, std::chrono::seconds(10));
  reads = 0;
  const auto broken = [&]() -> Result<std::string> {
    ++reads;
    return fail_os(EIO, "regions");
  };
  EXPECT_EQ(read_patiently(broken, pause).error().os_errno(), EIO);
  EXPECT_EQ(reads, 1);
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
