// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/base/trusted_path.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "core/base/file.h"
#include "core/base/unique_handle.h"

namespace hadump {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr uid_t kSomebodyElse = 65534;

class TrustedPath : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "hadump-trusted-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = fs::canonical(pattern);
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  static void set_mode(const std::string& path, mode_t mode) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  }
  static std::string reason(const std::string& path) {
    const auto walked = walk_trusted(path);
    return walked ? "" : walked.error().what();
  }

  std::string directory_;
};

TEST_F(TrustedPath, EndsAtTheLastDirectoryThatExists) {
  fs::create_directories(path("a/b"));
  fs::create_directory_symlink("a/../a/./b", path("link"));
  fs::create_directory_symlink(path("link"), path("absolute"));
  ASSERT_TRUE(write_file_atomically(path("a/file"), "", 0600));
  for (const char* name : {"a/b", "link", "absolute/", "link/../b/c/d", "a//b/x"})
    EXPECT_EQ(walk_trusted(path(name)).value_or(""), path("a/b")) << name;
  EXPECT_EQ(walk_trusted(path("a/file")).value_or(""), path("a"));
  EXPECT_EQ(walk_trusted("/").value_or(""), "/");
  fs::create_directory_symlink("loop", path("loop"));
  EXPECT_FALSE(walk_trusted(path("loop")));
}

TEST_F(TrustedPath, IsNotWhatOthersCanChange) {
  fs::create_directories(path("a/b"));
  set_mode(path("a"), 0777);
  EXPECT_THAT(reason(path("a/b/new")), HasSubstr(path("a") + " can be changed by others"));
  set_mode(path("a"), 01777);
  EXPECT_EQ(reason(path("a/b/new")), "");
  set_mode(path("a"), 0755);
  set_mode(path("a/b"), 0757);
  EXPECT_THAT(reason(path("a/b")), HasSubstr(path("a/b")));
  // The way of a link counts.
  fs::create_directories(path("c"));
  fs::create_directory_symlink(path("a/b"), path("c/link"));
  EXPECT_THAT(reason(path("c/link/x")), HasSubstr(path("a/b")));
}

TEST_F(TrustedPath, IsNotWhatBelongsToOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  fs::create_directories(path("a/b"));
  ASSERT_EQ(::chown(path("a/b").c_str(), kSomebodyElse, 0), 0);
  EXPECT_THAT(reason(path("a/b/x")), HasSubstr("belongs to user 65534"));
  set_mode(path("a"), 01777);
  fs::create_directory_symlink("/var", path("a/link"));
  EXPECT_EQ(reason(path("a/link")), "");
  ASSERT_EQ(::lchown(path("a/link").c_str(), kSomebodyElse, 0), 0);
  EXPECT_THAT(reason(path("a/link")), HasSubstr("belongs to user 65534"));
  set_mode(path("a"), 0775);
  EXPECT_EQ(reason(path("a")), "");  // Group root.
  ASSERT_EQ(::chown(path("a").c_str(), 0, 1), 0);
  EXPECT_THAT(reason(path("a")), HasSubstr("can be changed by others"));
}

/// An entry of a POSIX ACL, as acl(5) and linux/posix_acl_xattr.h have it.
struct AclEntry {
  std::uint16_t tag, permissions;
  std::uint32_t id;
};
constexpr std::uint16_t kAclOwner = 1, kAclUser = 2, kAclGroup = 4, kAclMask = 16, kAclOther = 32;
constexpr std::uint32_t kNoId = 0xffffffff;

/// Lets user 65534 write. The group's bits become the mask's.
bool let_somebody_write(const std::string& path, const char* attribute) {
  std::vector<std::uint8_t> text{2, 0, 0, 0};  // The version.
  for (const AclEntry& entry : {AclEntry{kAclOwner, 7, kNoId},
                                {kAclUser, 7, kSomebodyElse},
                                {kAclGroup, 5, kNoId},
                                {kAclMask, 7, kNoId},
                                {kAclOther, 5, kNoId}}) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&entry);
    text.insert(text.end(), bytes, bytes + sizeof(entry));
  }
  if (::setxattr(path.c_str(), attribute, text.data(), text.size(), 0) == 0) return true;
  EXPECT_EQ(errno, EOPNOTSUPP);
  return false;
}

TEST_F(TrustedPath, IsNotWhatAnAclLetsOthersChange) {
  if (::geteuid() != 0) GTEST_SKIP() << "a group that may write is root's";
  fs::create_directories(path("a/b"));
  fs::create_directories(path("c"));
  ASSERT_TRUE(write_file_atomically(path("file"), "text", 0664));
  EXPECT_EQ(read_trusted_text_file(path("file"), 4).value_or(""), "text");
  if (!let_somebody_write(path("a"), "system.posix_acl_access"))
    GTEST_SKIP() << "no ACLs on this file system";
  EXPECT_THAT(reason(path("a/b")), HasSubstr(path("a") + " can be changed by others"));
  EXPECT_FALSE(make_own_directory(path("a")));
  set_mode(path("a"), 0755);  // Sets the mask: what the entries say has no effect.
  EXPECT_EQ(reason(path("a/b")), "");
  EXPECT_TRUE(make_own_directory(path("a")));
  set_mode(path("c"), 0775);
  EXPECT_TRUE(make_own_directory(path("c")));
  ASSERT_TRUE(let_somebody_write(path("c"), "system.posix_acl_default"));
  EXPECT_THAT(make_own_directory(path("c")).error().what(), HasSubstr(path("c")));
  ASSERT_TRUE(let_somebody_write(path("file"), "system.posix_acl_access"));
  EXPECT_THAT(read_trusted_text_file(path("file"), 4).error().what(),
              HasSubstr("can be changed by others"));
}

TEST_F(TrustedPath, OwnDirectoriesAreMadeForUsAlone) {
  const mode_t before = ::umask(0);
  EXPECT_TRUE(make_own_directory(path("a/b/")));
  ::umask(before);
  for (const char* name : {"a", "a/b"})
    EXPECT_EQ(fs::status(path(name)).permissions(), fs::perms::owner_all) << name;
  // One that is there is neither changed nor, if others can write to it, used.
  set_mode(path("a"), 01777);
  EXPECT_THAT(make_own_directory(path("a")).error().what(), HasSubstr("others can write to"));
  EXPECT_EQ(static_cast<unsigned>(fs::status(path("a")).permissions()), 01777U);
  set_mode(path("a/b"), 0755);
  EXPECT_TRUE(make_own_directory(path("a/b")));
  EXPECT_EQ(static_cast<unsigned>(fs::status(path("a/b")).permissions()), 0755U);
  set_mode(path("a"), 0777);
  EXPECT_FALSE(make_own_directory(path("a/b")));
  ASSERT_TRUE(write_file_atomically(path("file"), "", 0600));
  EXPECT_FALSE(make_own_directory(path("file/x")));
}

TEST_F(TrustedPath, BelievesOnlyPlainFilesOfOurs) {
  ASSERT_TRUE(write_file_atomically(path("file"), "text", 0600));
  EXPECT_EQ(read_trusted_text_file(path("file"), 4).value_or(""), "text");
  EXPECT_FALSE(read_trusted_text_file(path("file"), 3));
  fs::create_symlink("file", path("link"));
  EXPECT_FALSE(read_trusted_text_file(path("link"), 4));
  EXPECT_FALSE(read_trusted_text_file(directory_, 4));
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_FALSE(read_trusted_text_file(path("fifo"), 4));
  fs::create_hard_link(path("file"), path("second"));
  EXPECT_THAT(read_trusted_text_file(path("file"), 4).error().what(), HasSubstr("another name"));
  fs::remove(path("second"));
  set_mode(path("file"), 0602);
  EXPECT_FALSE(read_trusted_text_file(path("file"), 4));
  EXPECT_EQ(read_trusted_text_file(path("none"), 4).error().code(), ErrorCode::kNotFound);
  if (::geteuid() != 0) return;
  set_mode(path("file"), 0600);
  ASSERT_EQ(::chown(path("file").c_str(), kSomebodyElse, 0), 0);
  EXPECT_FALSE(read_trusted_text_file(path("file"), 4));
}

}  // namespace
}  // namespace hadump
