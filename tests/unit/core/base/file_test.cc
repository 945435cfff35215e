// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace hadump {
namespace {

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "hadump-file-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string path(const char* name) const { return directory_ + "/" + name; }

  std::string directory_;
};

TEST_F(FileTest, AtomicWriteLeavesTheContentAndNothingElse) {
  ASSERT_TRUE(write_file_atomically(path("a"), "hello", 0600));
  EXPECT_EQ(read_text_file(path("a"), 100).value(), "hello");
  struct stat status {};
  ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

// A link at a name that can be known beforehand would be written through.
TEST_F(FileTest, AtomicWriteFollowsNoLink) {
  ASSERT_TRUE(write_file_atomically(path("precious"), "content", 0600));
  const std::string guessed = path("a.") + std::to_string(::gettid()) + ".tmp";
  for (const std::string& name : {guessed, path("a"), path("a.tmp")})
    std::filesystem::create_symlink(path("precious"), name);
  ASSERT_TRUE(write_file_atomically(path("a"), "hello", 0600));
  EXPECT_EQ(read_text_file(path("precious"), 100).value(), "content");
  EXPECT_FALSE(std::filesystem::is_symlink(path("a")));
}

TEST_F(FileTest, AtomicWriteIntoAMissingDirectoryIsRefused) {
  const auto done = write_file_atomically(path("no/a"), "x", 0600);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), ErrorCode::kNotFound);
}

TEST_F(FileTest, ReadRefusesMoreThanTheLimit) {
  ASSERT_TRUE(write_file_atomically(path("a"), "hello", 0600));
  EXPECT_EQ(read_file(path("a"), 4).error().code(), ErrorCode::kBadData);
  EXPECT_TRUE(read_file(path("a"), 5));
}

}  // namespace
}  // namespace hadump
