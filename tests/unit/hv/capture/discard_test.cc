// SPDX-License-Identifier: GPL-2.0-or-later
#include "hv/capture/discard.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>

#include <fstream>

#include "core/base/unique_handle.h"
#include "tests/unit/hv/capture/capture_mode_fixture.h"

namespace hadump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DiscardTest : public testing::Test, public CapturedGuest {
 protected:
  std::string own_directory() {
    record_.order.to = directory_ / "captures/";
    EXPECT_TRUE(run());
    return std::filesystem::path(record_.file).parent_path();
  }
};

TEST_F(DiscardTest, DeletesWhatTheCaptureHasMade) {
  ASSERT_TRUE(run());
  ASSERT_TRUE(discard_files(record_));
  EXPECT_THAT(files(), IsEmpty());
  EXPECT_TRUE(discard_files(record_)) << "again";
  const std::string made = own_directory();
  ASSERT_TRUE(discard_files(record_));
  EXPECT_FALSE(std::filesystem::exists(made));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "captures"));
}

TEST_F(DiscardTest, DeletesAnIncompleteDumpAndItsJournal) {
  cancel_after_ = kFrames / 2;
  ASSERT_FALSE(run());
  ASSERT_THAT(files(), testing::Contains("dump-incomplete"));
  record_.state = CaptureState::kFailed;
  ASSERT_TRUE(discard_files(record_));
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(DiscardTest, LeavesWhatTheAdminHasPutThere) {
  const std::string made = own_directory();
  std::ofstream(made + "/notes") << "an admin's";
  ASSERT_TRUE(discard_files(record_));
  EXPECT_TRUE(std::filesystem::exists(made + "/notes"));
  EXPECT_FALSE(std::filesystem::exists(made + "/vmcore"));
}

// The name may have been given to something else since.
TEST_F(DiscardTest, DeletesNothingOfAnotherDump) {
  ASSERT_TRUE(run());
  CaptureRecord other = record_;
  other.dump_id = std::string(32, 'b');
  const auto done = discard_files(other);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBadData);
  EXPECT_EQ(files().size(), 3U);
}

// A failed attempt and the one after it have one dump.
TEST_F(DiscardTest, LeavesTheDumpOfALaterAttempt) {
  ASSERT_TRUE(run());
  CaptureRecord earlier = record_;
  earlier.name = "web-before";
  EXPECT_TRUE(discard_files(earlier));
  EXPECT_EQ(files().size(), 3U);
}

TEST_F(DiscardTest, DeletesNoDumpWithoutItsMetadata) {
  ASSERT_TRUE(run());
  std::filesystem::remove(record_.metadata);
  const auto done = discard_files(record_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kBadData);
  EXPECT_THAT(files(), ElementsAre("dump", "dump-dmesg.txt"));
  // By hand, then.
  std::filesystem::remove(record_.file);
  EXPECT_TRUE(discard_files(record_));
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(DiscardTest, FollowsNoLink) {
  ASSERT_TRUE(run());
  std::ofstream(directory_ / "precious") << "x";
  std::filesystem::remove(record_.file);
  std::filesystem::create_symlink(directory_ / "precious", record_.file);
  ASSERT_TRUE(discard_files(record_));
  EXPECT_THAT(files(), ElementsAre("precious"));
}

TEST_F(DiscardTest, DeletesNothingThatIsRead) {
  ASSERT_TRUE(run());
  {
    const UniqueFd reader(::open(record_.file.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::flock(reader.get(), LOCK_SH), 0);
    const auto done = discard_files(record_);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), ErrorCode::kBusy);
    EXPECT_THAT(done.error().what(), HasSubstr("is it mounted?"));
    EXPECT_EQ(files().size(), 3U);
  }
  EXPECT_TRUE(discard_files(record_));
}

}  // namespace
}  // namespace hadump
