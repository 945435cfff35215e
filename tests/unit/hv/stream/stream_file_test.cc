// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>

#include <filesystem>

#include "core/base/file.h"
#include "hv/stream/stream_file.h"
#include "tests/unit/core/save/temporary_directory.h"

namespace hadump {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class DiskType : public FileSystems {
 public:
  Result<std::uint64_t> type(const std::string& /*directory*/) const override { return type_; }
  Result<std::string> mounts() const override { return "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"; }
  std::uint64_t type_ = EXT4_SUPER_MAGIC;
};

class StreamFileTest : public testing::Test {
 protected:
  StreamFileTest() { limits.directory = scratch / "streams"; }

  std::unique_ptr<StreamStore> file(const std::string& domain = "web") {
    return std::make_unique<StreamFile>(files, limits, policy, domain);
  }
  std::vector<std::string> names(const std::string& domain = "web") const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(limits.directory + "/" + domain))
      all.push_back(entry.path().filename());
    return all;
  }
  std::string path(const std::string& name) const { return limits.directory + "/web/" + name; }
  static std::vector<std::byte> bytes(std::size_t size) {
    return std::vector<std::byte>(size, std::byte{'x'});
  }

  TemporaryDirectory scratch;
  DiskType disk;
  StreamLimits limits{.directory = {}, .max_running = 8, .keep_free = 0};
  StreamPolicy policy{.allowed = true, .max_bytes = 1000, .max_files = 4};
  StreamDirectory files{disk, [] { return std::uint64_t{1767225600'000}; }};
};

TEST_F(StreamFileTest, HasItsFinalNameOnlyWhenItIsWhole) {
  const auto store = file();
  ASSERT_TRUE(store->open("vmcore"));
  ASSERT_TRUE(store->write(bytes(10)));
  ASSERT_TRUE(store->make_durable());
  EXPECT_THAT(names(), ElementsAre("vmcore-incomplete"));
  ASSERT_TRUE(store->publish());
  EXPECT_THAT(names(), ElementsAre("vmcore"));
  EXPECT_EQ(*read_text_file(path("vmcore"), 100), "xxxxxxxxxx");
  struct stat info {};
  ASSERT_EQ(::stat(path("vmcore").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  ASSERT_EQ(::stat((limits.directory + "/web").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U);
}

TEST_F(StreamFileTest, KeepsWhatMayHaveBeenAcknowledged) {
  {
    const auto store = file();
    ASSERT_TRUE(store->open("vmcore"));
    ASSERT_TRUE(store->write(bytes(10)));
    ASSERT_TRUE(store->make_durable());
    ASSERT_TRUE(store->write(bytes(5)));
  }
  EXPECT_THAT(names(), ElementsAre("vmcore-incomplete"));
  const auto again = file();
  ASSERT_TRUE(again->open("vmcore")) << "it is in nobody's way";
  ASSERT_TRUE(again->publish());
  EXPECT_THAT(names(), UnorderedElementsAre("vmcore", "vmcore-incomplete"));
  EXPECT_EQ(*read_text_file(path("vmcore"), 100), "") << "and nobody goes on with it";
}

TEST_F(StreamFileTest, LeavesNothingOfWhatWasNotAcknowledged) {
  {
    const auto store = file();
    ASSERT_TRUE(store->open("vmcore"));
    ASSERT_TRUE(store->write(bytes(10)));
  }
  EXPECT_THAT(names(), ElementsAre());
}

TEST_F(StreamFileTest, NeverReplacesAFile) {
  const auto first = file(), second = file(), third = file();
  ASSERT_TRUE(first->open("vmcore"));
  ASSERT_TRUE(second->open("vmcore"));
  ASSERT_TRUE(first->publish());
  const auto late = second->publish();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().os_errno(), EEXIST);
  const auto refused = third->open("vmcore");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().os_errno(), EEXIST);
  EXPECT_THAT(refused.error().what(), HasSubstr("a file 'vmcore' of this guest already"));
}

TEST_F(StreamFileTest, FollowsNoLink) {
  fs::create_directories(limits.directory + "/web");
  fs::permissions(limits.directory, fs::perms::owner_all);
  fs::permissions(limits.directory + "/web", fs::perms::owner_all);
  fs::create_symlink(scratch / "elsewhere", path("vmcore-incomplete"));
  const auto store = file();
  ASSERT_TRUE(store->open("vmcore"));
  ASSERT_TRUE(store->publish());
  EXPECT_FALSE(fs::exists(scratch / "elsewhere"));
  fs::create_symlink(scratch / "elsewhere", path("other"));
  EXPECT_FALSE(file()->open("other")) << "a link has the name, too";
}

TEST_F(StreamFileTest, RefusesNamesThatAreNotFileNames) {
  for (const char* name : {"../x", "a/b", ".x", "-x", "x-incomplete", "a b"}) {
    const auto opened = file()->open(name);
    ASSERT_FALSE(opened) << name;
    EXPECT_EQ(opened.error().code(), ErrorCode::kBadData);
  }
  EXPECT_FALSE(fs::exists(limits.directory)) << "nothing was made for them";
}

TEST_F(StreamFileTest, ChoosesANameWhereThereIsNone) {
  const auto first = file(), second = file();
  EXPECT_EQ(first->open("")->name, "stream-20260101T000000");
  EXPECT_EQ(second->open("")->name, "stream-20260101T000000.1");
}

TEST_F(StreamFileTest, KeepsToTheQuotaOfItsGuest) {
  const auto first = file(), second = file();
  EXPECT_EQ(first->open("a")->room, 1000U);
  ASSERT_TRUE(first->write(bytes(600)));
  EXPECT_EQ(second->open("b")->room, 400U) << "what runs counts";
  const auto over = second->write(bytes(401));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code(), ErrorCode::kNoSpace);
  EXPECT_THAT(over.error().what(), HasSubstr("stream-max-size is 1000 B"));
  EXPECT_TRUE(second->write(bytes(400)));
  const auto other = file("db");
  EXPECT_EQ(other->open("a")->room, 1000U) << "each guest has its own";
}

TEST_F(StreamFileTest, CountsWhatIsThereAlready) {
  {
    const auto first = file();
    ASSERT_TRUE(first->open("a"));
    ASSERT_TRUE(first->write(bytes(900)));
    ASSERT_TRUE(first->make_durable());
  }
  const auto second = file();
  EXPECT_EQ(second->open("b")->room, 100U) << "an incomplete file counts, too";
}

TEST_F(StreamFileTest, GivesBackWhatItDidNotKeep) {
  const auto stays = file();
  ASSERT_TRUE(stays->open("stays"));
  {
    const auto gone = file();
    ASSERT_TRUE(gone->open("gone"));
    ASSERT_TRUE(gone->write(bytes(900)));
  }
  EXPECT_TRUE(stays->write(bytes(1000)));
}

TEST_F(StreamFileTest, KeepsToTheNumberOfFiles) {
  std::vector<std::unique_ptr<StreamStore>> open;
  for (unsigned i = 0; i < policy.max_files; ++i) {
    open.push_back(file());
    ASSERT_TRUE(open.back()->open(""));
  }
  const auto more = file()->open("");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code(), ErrorCode::kNoSpace);
  EXPECT_THAT(more.error().what(), HasSubstr("stream-max-count is 4"));
  open.pop_back();
  EXPECT_TRUE(file()->open("")) << "one that left nothing is no file";
}

TEST_F(StreamFileTest, LeavesRoomOnTheDisk) {
  limits.keep_free = ~std::uint64_t{0} / 2;
  const auto store = file();
  ASSERT_TRUE(store->open("a"));
  const auto written = store->write(bytes(1));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
  EXPECT_THAT(written.error().what(), HasSubstr("keep-free"));
}

TEST_F(StreamFileTest, RefusesADirectoryThatOthersCanChange) {
  fs::create_directories(limits.directory);
  fs::permissions(limits.directory, fs::perms::all);
  const auto opened = file()->open("a");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kOs) << "which is not the guest's fault";
}

TEST_F(StreamFileTest, RefusesADirectoryThatDoesNotLast) {
  disk.type_ = TMPFS_MAGIC;
  const auto opened = file()->open("a");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().what(), HasSubstr("in memory"));
}

TEST(StreamDirectoryName, StaysInTheDirectory) {
  EXPECT_EQ(stream_directory_of("/d", "web"), "/d/web");
  EXPECT_EQ(stream_directory_of("/d", "../x"), "/d/_._x");
  EXPECT_EQ(stream_directory_of("/d", ".."), "/d/_.");
  EXPECT_EQ(stream_directory_of("/d", ""), "/d/_");
}

}  // namespace
}  // namespace hadump
